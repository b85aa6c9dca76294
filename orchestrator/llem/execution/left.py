"""What a killed host left of a study: taken before anything else, as it needs no image, no model and no GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llem.execution.attempt import LeftBehind, collect_left_behind
from llem.execution.begun import Begun
from llem.execution.loop import record_ending
from llem.execution.observer import RunEnding
from llem.execution.session import Session
from llem_runner.contract import FailureKind


@dataclass(frozen=True)
class Left:
    """All that was left."""

    runs: Sequence[LeftBehind]

    @property
    def completed(self) -> frozenset[str]:
        """Ids of runs that have a result now."""
        return frozenset(left.ending.run.run_id for left in self.runs if left.ending.result is not None)

    @property
    def draining(self) -> frozenset[str]:
        """GPUs that runs which went on without their host may still be leaving."""
        return frozenset(uuid for left in self.runs if left.went_on for uuid in left.place.gpu_uuids)

    def drain(self, session: Session) -> None:
        """Wait until the GPUs of runs that went on without their host are empty; those that stay full are out."""
        for left in self.runs:
            if left.went_on:
                session.gpus.after_another_host(left.ending.run.experiment, left.place, left.memory_before_bytes)


def collect_left(session: Session, begun: Begun) -> Left:
    """Take what a killed host left whole in `out/`, and what goes on without it. Raises LeaseGivenUp."""
    runs: list[LeftBehind] = []
    for run in begun.todo:
        left = collect_left_behind(session, run) if run.run_id in begun.in_hand else None
        if left is None:
            continue
        runs.append(left)
        if left.ending.result is not None:
            record_ending(session, left.ending)
        elif left.went_on:
            _tell_that_it_failed(session, left.ending)
    return Left(runs)


def _tell_that_it_failed(session: Session, ending: RunEnding) -> None:
    """It runs again: its failure is in the journal, and not counted among those of the study."""
    run_id, words = ending.run.run_id, ending.message
    if ending.kind == FailureKind.INTERRUPTED:
        session.journal.append("run_interrupted", run_id=run_id, message=words)
        return
    session.journal.append("run_failed", run_id=run_id, kind=ending.kind, message=words)
    session.observer.notice(
        f"{run_id}, which went on without its llem, failed ({ending.kind}): {words}. It runs again."
    )
