"""Whether the engine's batch was full: the share of the window in which enough requests were running. Pure.

batch of 4    ▕▔▔▔▔▔▔▔▔▔▔▔▔▔▔▏ request ends at its own last token
              ▕▔▔▔▔▔▔▔▔▔▏
              ▕▔▔▔▔▔▔▔▔▔▔▔▔▏
              ▕▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▏
running        4        3   2  1           80 % of 4 are 3.2: enough only while all 4 run

A request that the engine took out of its batch for a while (a preemption) does not run in that while.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from llem_runner.metrics.latency import TimedRequest

RUNNING_SHARE = 0.8
"""So much of a full batch has to be running to count as full."""


def saturated_share(
    requests: Sequence[TimedRequest], batch: int, prompts: int, start_s: float, end_s: float
) -> float | None:
    """The share of the window in which at least 80 % of min(`prompts`, `batch`) requests were running.

    `batch`: most requests in flight at once. A request runs from when the engine began with it (after its queue) to its
    last token, but for its pauses. None where the engine tells neither when its tokens came nor when it began: then a
    request seems to run while it waits, or until the last of its batch has ended.
    """
    ends_s = [each.finished_s for each in requests if each.first_token_s is not None and each.finished_s is not None]
    if not requests or len(ends_s) < len(requests):
        return None
    full = min(prompts, batch)
    ran = zip(requests, ends_s, strict=True)
    changes = sorted(change for one, ended_s in ran for change in _changes(one, ended_s, start_s, end_s))
    running, saturated_s = 0, 0.0
    for (at_s, change), (next_s, _) in pairwise([*changes, (end_s, 0)]):
        running += change
        if running > batch:
            return None
        if running >= RUNNING_SHARE * full:
            saturated_s += next_s - at_s
    return saturated_s / (end_s - start_s)


def _changes(request: TimedRequest, ended_s: float, start_s: float, end_s: float) -> Iterator[tuple[float, int]]:
    """When one request more runs and when one less. Ends sort before beginnings of the same moment."""
    began_s = request.started_s + (request.queued_s or 0.0)
    for from_s, to_s, more in ((began_s, ended_s, 1), *((*pause_s, -1) for pause_s in request.paused_s)):
        yield min(max(from_s, start_s), end_s), more
        yield min(max(to_s, start_s), end_s), -more
