"""Times of single requests → their distributions. Pure, standard library only."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol

from llem_runner.contract.result import Distribution, Latency


class TimedRequest(Protocol):
    """One answered request; times are seconds on one clock, None or empty where the engine cannot tell.

    `started_s` is when the engine was given the request: waiting in its queue is part of `finished_s - started_s`.
    """

    @property
    def token_ids(self) -> Sequence[int]: ...
    @property
    def started_s(self) -> float: ...
    @property
    def finished_s(self) -> float | None: ...
    @property
    def first_token_s(self) -> float | None: ...
    @property
    def queued_s(self) -> float | None: ...
    @property
    def token_times_s(self) -> Sequence[float]: ...
    @property
    def paused_s(self) -> Sequence[tuple[float, float]]: ...


def latency_of(requests: Sequence[TimedRequest]) -> Latency:
    """Whole requests, waiting, time to the first token, and time between tokens, each over all requests.

    A part that is unknown for any request is None as a whole: a mean over some of them would be of another set.
    """
    return Latency(
        request_s=distribution_if_known(
            None if request.finished_s is None else request.finished_s - request.started_s for request in requests
        ),
        queue_s=distribution_if_known(request.queued_s for request in requests),
        ttft_s=distribution_if_known(
            None if request.first_token_s is None else request.first_token_s - request.started_s for request in requests
        ),
        itl_s=_between_tokens(requests),
    )


def unknown_parts(requests: Sequence[TimedRequest], latency: Latency) -> dict[str, str]:
    """Why a part of `latency` is None, by its name; parts that are known are left out."""
    without_end = sum(request.finished_s is None for request in requests)
    without_first = sum(request.first_token_s is None for request in requests)
    without_times = sum(len(request.token_times_s) != len(request.token_ids) for request in requests)
    reasons = {
        "request_s": f"generation gave no end of its own for {without_end} of {len(requests)} requests",
        "queue_s": "this engine has no queue, or does not tell",
        "ttft_s": f"generation gave none for {without_first} of {len(requests)} requests",
        "itl_s": f"generation gave no time of every token for {without_times} of {len(requests)} requests"
        if without_times
        else "no request has two output tokens",
    }
    return {part: reason for part, reason in reasons.items() if getattr(latency, part) is None}


def _between_tokens(requests: Sequence[TimedRequest]) -> Distribution | None:
    if any(len(request.token_times_s) != len(request.token_ids) for request in requests):
        return None
    return distribution(later - earlier for request in requests for earlier, later in pairwise(request.token_times_s))


def distribution_if_known(values: Iterable[float | None]) -> Distribution | None:
    """The distribution of `values`; None where one of them is None, or there are none."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    return distribution(known) if len(known) == len(listed) else None


def distribution(values: Iterable[float]) -> Distribution | None:
    """Mean, percentiles and size of a sample; None for an empty one."""
    ordered = sorted(values)
    if not ordered:
        return None
    return Distribution(
        mean=statistics.fmean(ordered),
        p50=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p95=percentile(ordered, 95),
        p99=percentile(ordered, 99),
        n=len(ordered),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The percentile of a sorted, not empty sample, interpolated linearly between neighbours.

    Position `(n - 1) × percent / 100` counted from 0: method 7 of Hyndman and Fan (1996), numpy's default.
    """
    position = (len(ordered) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
