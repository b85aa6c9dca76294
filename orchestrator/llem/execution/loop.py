"""The loop over the plan, readable top to bottom: pause, run, record, and know when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal

from llem.execution.attempt import attempt_run
from llem.execution.gpu_use import NoHealthyGpu
from llem.execution.observer import RunEnding
from llem.execution.plan_file import PlannedRun
from llem.execution.session import Session
from llem.execution.thermal_gate import GateGivenUp
from llem.launch.gpu_lease import LeaseGivenUp
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

StopReason = Literal["plan_done", "interrupted", "consecutive_failures", "wall_clock", "no_healthy_gpu"]


def run_plan(
    session: Session,
    todo: list[PlannedRun],
    attempts: Mapping[str, int],
    now: Callable[[], float] = time.monotonic,
) -> StopReason:
    """Execute `todo` in order, and say why no further run follows.

    `attempts` counts the attempts that were made of each run before. Raises JournalUnwritable.
    """
    started_s = now()
    endings: list[RunEnding] = []
    for position, run in enumerate(todo):
        reason = _stop_reason(session, endings, now() - started_s)
        # A pause is between two runs: the first of a resumed study has none.
        if reason is None and position > 0 and run.gap_seconds > 0:
            session.observer.gap(run.gap_seconds)
            session.interrupts.wait(run.gap_seconds)
            reason = _stop_reason(session, endings, now() - started_s)
        if reason is not None:
            return reason
        try:
            ending = _run(session, run, attempts.get(run.run_id, 0) + 1)
        except (LeaseGivenUp, GateGivenUp):
            return "interrupted"
        except NoHealthyGpu as error:
            session.observer.notice(str(error))
            return "no_healthy_gpu"
        endings.append(ending)
    cut_short = session.interrupts.requested and any(ending.result is None for ending in endings)
    return "interrupted" if cut_short else "plan_done"


def _run(session: Session, run: PlannedRun, number: int) -> RunEnding:
    """One run, recorded, with GPUs that are healthy, ours alone, and empty again before anybody uses them next.

    Raises LeaseGivenUp, GateGivenUp, NoHealthyGpu: then nothing was begun.
    """
    try:
        place = session.gpus.place_for(run.experiment)
    except LaunchFailed as failure:
        ending = RunEnding(run, kind=str(failure.kind), message=failure.message)
        record_ending(session, ending)
        return ending
    gate = session.gate.pass_through(place.gpu_uuids)
    session.gpus.before(run.experiment, place)
    ending = attempt_run(session, run, number, place, gate)
    record_ending(session, ending)
    session.gpus.after(run.experiment, place)
    return ending


def record_ending(session: Session, ending: RunEnding) -> None:
    """Journal first, then the manifest, then whoever watches."""
    run, counts, journal = ending.run, session.manifest.counts, session.journal
    if ending.result is not None:
        journal.append("run_completed", run_id=run.run_id, attempt=ending.result.attempt)
        session.manifest.update(completed=counts.completed + 1)
    elif ending.kind == FailureKind.INTERRUPTED:
        journal.append("run_interrupted", run_id=run.run_id, message=ending.message)
        session.manifest.update(interrupted=counts.interrupted + 1)
    else:
        journal.append("run_failed", run_id=run.run_id, kind=ending.kind, message=ending.message)
        session.manifest.update(failed=counts.failed + 1)
    session.observer.run_ended(ending)


def _stop_reason(session: Session, endings: list[RunEnding], elapsed_s: float) -> StopReason | None:
    if session.interrupts.requested:
        return "interrupted"
    if _consecutive_failures(endings) >= session.facts.max_consecutive_failures:
        return "consecutive_failures"
    limit_hours = session.facts.wall_clock_limit_hours
    if limit_hours is not None and elapsed_s > limit_hours * 3600:
        return "wall_clock"
    return None


def _consecutive_failures(endings: list[RunEnding]) -> int:
    count = 0
    for ending in reversed(endings):
        if ending.result is not None:
            break
        count += 1
    return count
