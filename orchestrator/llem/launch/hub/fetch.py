"""The host's side: models asked for, notices passed on, and what cannot be had told all at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from llem.errors import NotReadyError, UsageError
from llem.launch.child import run_child
from llem.launch.hub.order import Fetched, HubModel, heard, order_text


def fetch(
    models: Sequence[HubModel], notice: Callable[[str], None], stop: Callable[[float], bool]
) -> dict[HubModel, Fetched]:
    """Have each model in the cache, whole, at one commit; what is there already is not fetched again.

    `stop(seconds)` waits that long and says whether we were asked to end. Raises NotReadyError that names everything
    that cannot be had; UsageError where all of that is the study's own fault.
    """
    answer = _Answer(notice)
    # -P: not from the working folder, where modules of any name may lie.
    command = [sys.executable, "-P", "-m", "llem.launch.hub", order_text(models)]
    try:
        done = run_child(command, stop, answer.hear)
    except OSError as error:
        raise NotReadyError(f"Models of the Hub could not be fetched: {error}") from error
    if done.exit_code is None:
        raise NotReadyError("Stopped while models of the Hub were fetched.")
    if answer.problems:
        words = "\n".join(dict.fromkeys(answer.problems))
        raise UsageError(words) if answer.all_usage else NotReadyError(words)
    if done.exit_code != 0 or len(answer.fetched) != len(models):
        last = done.last_words.splitlines()
        raise NotReadyError(
            f"Models of the Hub could not be fetched (exit {done.exit_code}): {last[-1] if last else 'no word why.'}"
        )
    return dict(zip(models, answer.fetched, strict=True))


class _Answer:
    """What the process that fetches has said so far."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self.problems: list[str] = []
        self.all_usage = True
        self.fetched: list[Fetched] = []

    def hear(self, line: str) -> None:
        """Take one line."""
        said = heard(line)
        if "notice" in said:
            self._notice(said["notice"])
        elif "problem" in said:
            self.problems.append(said["problem"])
            self.all_usage &= bool(said.get("usage"))
        elif "fetched" in said:
            self.fetched = [Fetched(**model) for model in said["fetched"]]
