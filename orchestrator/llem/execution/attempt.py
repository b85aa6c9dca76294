"""One try at one run: the exchange folder made ready, the runner started and followed, its result judged."""

from __future__ import annotations

import errno
import secrets
import time
from contextlib import suppress
from pathlib import Path

from llem.ended import Ended
from llem.errors import LlemError
from llem.execution.exchange import read_order, write_order
from llem.execution.follow import follow
from llem.execution.launch_record import LaunchRecord
from llem.execution.observer import RunEnding
from llem.execution.plan_file import PlannedRun
from llem.execution.preflight import prompts_key
from llem.execution.session import Session
from llem.execution.watch import Verdict, Watch
from llem.launch.gpus import gpus_needed
from llem.launch.protocol import Attempt
from llem.results.complete import HostFacts, complete, write_result
from llem.results.diagnose import diagnose
from llem.results.read import Expected, ResultRejected, read_error, read_result
from llem.results.timeline import save_timeline
from llem_runner.contract import ExperimentResult, FailureKind
from llem_runner.contract.exchange import RESULT_FILE
from llem_runner.contract.result import Image


def attempt_run(session: Session, run: PlannedRun, number: int) -> RunEnding:
    """Execute a run once. Raises JournalUnwritable; everything else that goes wrong is the run's own ending."""
    folder = session.folder.run(run.sequence, run.run_id)
    attempt = _attempt(session, run, number, folder)
    try:
        prompts = session.inputs.prompts[prompts_key(run.experiment)]
        write_order(folder, run, number, attempt.nonce, prompts, session.facts.calibration)
    except OSError as error:
        session.journal.append("run_started", run_id=run.run_id, attempt=number, handle=attempt.handle)
        return _failed(run, FailureKind.DISK, _unwritten(folder, error))
    session.journal.append("run_started", run_id=run.run_id, attempt=number, handle=attempt.handle)
    session.manifest.update(run_in_hand=run.run_id)
    place = session.launcher.capacity()[0]
    place = place.first(gpus_needed(run.experiment, place.gpu_uuids))
    record = LaunchRecord(attempt, session.launcher.name, place, time.time())
    try:
        record.write()
        handle = session.launcher.start(attempt, place)
    except OSError as error:
        if error.errno in _NO_ROOM:
            return _failed(run, FailureKind.DISK, _unwritten(folder, error))
        return _failed(run, FailureKind.IMAGE_UNUSABLE, f"the runner could not be started: {error}")
    except LlemError as error:
        return _failed(run, FailureKind.IMAGE_UNUSABLE, f"the runner could not be started: {error}")
    ended, verdict = _follow(session, run, handle)
    # On a full disk the result itself is more important than the record of how it came.
    with suppress(OSError):
        record.ended(ended, verdict, time.time()).write()
    return _judge(session, run, attempt, ended, verdict)


def collect_left_behind(session: Session, run: PlannedRun) -> RunEnding | None:
    """The result that a killed host left in `out/`, if it is whole; a runner that still runs is ended first."""
    folder = session.folder.run(run.sequence, run.run_id)
    order = read_order(folder)
    if order is None or order.run_id != run.run_id:
        return None
    attempt = _attempt(session, run, order.attempt, folder, order.nonce)
    handle = session.launcher.find(attempt)
    if handle is not None:
        # Its lifeline is cut: it is on its way out, and must not share the GPU with the next run.
        session.launcher.stop(handle, grace_s=5)
    ending = _judge(session, run, attempt, Ended(0), None)
    return ending if ending.result is not None else None


def _attempt(session: Session, run: PlannedRun, number: int, folder: Path, nonce: str | None = None) -> Attempt:
    lora = run.experiment.lora
    return Attempt(
        study_uid=session.facts.study_uid,
        run_id=run.run_id,
        number=number,
        nonce=nonce or secrets.token_hex(16),
        folder=folder,
        config=run.experiment,
        model_path=session.inputs.models[run.experiment.model],
        adapter_path=session.inputs.adapters[lora.adapter_path] if lora and lora.adapter_path else None,
    )


def _follow(session: Session, run: PlannedRun, handle: str) -> tuple[Ended, Verdict | None]:
    """From the start to the end. Whatever goes wrong in between, the runner does not go on beside the next one."""
    try:
        session.observer.run_started(run)
        ended, verdict = follow(
            session.launcher,
            handle,
            Watch(session.limits, time.monotonic()),
            session.interrupts,
            lambda event: session.observer.run_event(run, event),
            session.observer.notice,
        )
        session.launcher.collect(handle)
    except BaseException:
        session.launcher.stop(handle, 0)
        raise
    return ended, verdict


def _judge(session: Session, run: PlannedRun, attempt: Attempt, ended: Ended, verdict: Verdict | None) -> RunEnding:
    """A run that ended with 0 and a valid result is completed, even if we asked it to stop; else it is diagnosed."""
    expected = Expected(run_id=run.run_id, attempt=attempt.number, nonce=attempt.nonce)
    rejected: str | None = None
    if ended.exit_code == 0:
        try:
            return _completed(session, run, attempt, read_result(attempt.folder, expected))
        except ResultRejected as error:
            rejected = str(error)
        except OSError as error:
            return _failed(run, FailureKind.DISK, _unwritten(attempt.folder, error))
    failure = diagnose(
        ended,
        asked=verdict.kind if verdict else None,
        error=read_error(attempt.folder, expected),
        rejected=rejected,
        asked_words=verdict.message if verdict else None,
    )
    return _failed(run, failure.kind, failure.message)


def _completed(session: Session, run: PlannedRun, attempt: Attempt, result: ExperimentResult) -> RunEnding:
    """Keep a result. Raises ResultRejected where it is of another experiment, OSError where it cannot be written."""
    if result.experiment != run.experiment or result.backend != run.experiment.backend:
        raise ResultRejected("the result is of another experiment than the one that was asked for")
    image = Image(name=attempt.image, digest=session.images.get(run.experiment.backend))
    result = complete(result, HostFacts(run.experiment_id, run.cycle, attempt.number, image))
    write_result(attempt.folder / RESULT_FILE, result)
    if session.facts.save_timeline and result.energy.source != "none":
        _keep_timeline(session, run, attempt.folder, result)
    return RunEnding(run, result=result)


def _keep_timeline(session: Session, run: PlannedRun, folder: Path, result: ExperimentResult) -> None:
    """The result is safe already: a timeline that cannot be kept is told, and costs nothing else."""
    try:
        problem = save_timeline(folder, result)
    except OSError as error:
        problem = f"it could not be written ({error.strerror})"
    if problem:
        session.observer.notice(f"{run.run_id}: power.parquet was not made: {problem}. out/power.csv is as it was.")


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def _unwritten(folder: Path, error: OSError) -> str:
    return f"{error.filename or folder}: {error.strerror}. Make room, or mend the permissions, then resume the study."


def _failed(run: PlannedRun, kind: FailureKind, message: str) -> RunEnding:
    return RunEnding(run, kind=str(kind), message=message)
