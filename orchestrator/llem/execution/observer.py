"""Who wants to see a study go on. The loop tells; the terminal, or nobody, listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llem.execution.plan_file import PlannedRun
from llem_runner.contract import ExperimentResult
from llem_runner.contract.events import Event

if TYPE_CHECKING:
    from llem.launch.docker.pull_layers import PullState


@dataclass(frozen=True)
class RunEnding:
    """How one run ended: with a result, or with a kind and words."""

    run: PlannedRun
    result: ExperimentResult | None = None
    kind: str | None = None
    message: str | None = None
    last_words: tuple[str, ...] = ()
    """The last lines that a failed run printed."""


class Observer:
    """Listens to a study and does nothing; override what is of interest."""

    def notice(self, message: str) -> None:
        """Something the person should know, in one line."""

    def image_pull(self, state: PullState) -> None:
        """How far the pull of an image is: before the first run, several times for each image."""

    def study_started(self, folder: str, total: int, done: int) -> None:
        """`done` of `total` runs were completed before (a resumed study)."""

    def gap(self, seconds: float) -> None:
        """A pause before the next run begins."""

    def run_started(self, run: PlannedRun) -> None:
        """A run begins."""

    def run_event(self, run: PlannedRun, event: Event) -> None:
        """The run said something."""

    def run_ended(self, ending: RunEnding) -> None:
        """The run has a result, or has none."""

    def study_ended(self) -> None:
        """No further run follows."""
