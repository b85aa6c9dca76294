"""One try at one run: the exchange folder made ready, the runner started and followed, its result judged."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llem.ended import Ended
from llem.execution.company import Company
from llem.execution.exchange import read_gpu_uuids, read_order, write_order
from llem.execution.follow import follow
from llem.execution.hub_models import adapter_key, model_key
from llem.execution.launch_record import LaunchRecord, Left, read_launch
from llem.execution.observer import RunEnding
from llem.execution.plan_file import PlannedRun
from llem.execution.preflight import prompts_key
from llem.execution.session import Session
from llem.execution.thermal_gate import GateWait
from llem.execution.watch import Verdict, Watch
from llem.launch.log_file import LOG_FILE, last_lines
from llem.launch.protocol import Attempt, LaunchFailed, Place
from llem.results.complete import HostFacts, complete, write_result
from llem.results.diagnose import diagnose
from llem.results.read import Expected, ResultRejected, read_error, read_result
from llem.results.timeline import save_timeline
from llem_runner.contract import ExperimentResult, FailureKind, RunOrder
from llem_runner.contract.events import Event
from llem_runner.contract.exchange import RESULT_FILE
from llem_runner.contract.result import Image


def attempt_run(
    session: Session, run: PlannedRun, number: int, place: Place, gate: GateWait | None = None
) -> RunEnding:
    """Execute a run once, which came through the thermal `gate`.

    Raises JournalUnwritable; everything else that goes wrong is the run's own ending.
    """
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
    launcher = session.launchers.of(run.experiment)
    memory = session.gpus.memory_before(run.experiment, place)
    record = LaunchRecord(attempt, launcher.name, place, time.time(), memory)
    if gate is not None:
        record = record.begun({"gate": gate.described()})
    try:
        record.write()
        handle = launcher.start(attempt, place)
    except OSError as error:
        if error.errno in _NO_ROOM:
            return _failed(run, FailureKind.DISK, _unwritten(folder, error))
        return _failed(run, FailureKind.IMAGE_UNUSABLE, f"the runner could not be started: {error}")
    except LaunchFailed as failure:
        with suppress(OSError):
            record.failed(failure.kind, failure.message, time.time()).write()
        return _failed(run, failure.kind, failure.message)
    # Written now for whoever goes on with it, should this host die.
    record = record.begun(launcher.record(handle))
    with suppress(OSError):
        record.write()
    company = Company(place.gpu_uuids, lambda: launcher.pids(handle))
    return _followed(session, run, record, handle, time.monotonic(), company)


@dataclass(frozen=True)
class LeftBehind:
    """What came of a run that a killed host left."""

    ending: RunEnding
    went_on: bool
    """Whether it ran until now, without its host."""
    place: Place
    memory_before_bytes: Mapping[str, int]


def collect_left_behind(session: Session, run: PlannedRun) -> LeftBehind | None:
    """What a killed host left of a run: of one that goes on without its host, once it has ended.

    One that cannot go on is on its way out, and is ended first. None where it was never begun. Needs nothing but the
    launcher and what lies in the run's folder: the image, the model and the GPU may be gone.
    """
    folder = session.folder.run(run.sequence, run.run_id)
    order = read_order(folder)
    if order is None or order.run_id != run.run_id:
        return None
    left = read_launch(folder)
    attempt = _attempt_before(session, run, order, folder, left)
    launcher = session.launchers.of(run.experiment)
    place = Place("localhost", None, read_gpu_uuids(folder))
    handle = launcher.find(attempt)
    went_on = handle is not None and launcher.survives_host
    if handle is not None and went_on:
        session.gpus.lease(place.gpu_uuids)
        session.observer.notice(
            f"{run.run_id} was left by a llem that died, and went on without it: waiting for its end."
        )
        record = LaunchRecord(attempt, launcher.name, place, left.started_unix_s, left.memory_before_bytes)
        # What it told so far comes all at once: nobody can look now who was there then.
        ending = _followed(session, run, record.begun(left.facts), handle, _began_s(left), None)
    else:
        if handle is not None:
            # It must not share the GPU with the next run.
            launcher.stop(handle, grace_s=5)
        ending = _judge(session, run, attempt, Ended(0), None, _Seen(left.facts))
    return LeftBehind(ending, went_on, place, left.memory_before_bytes)


def _began_s(left: Left) -> float:
    """When it began, on the monotonic clock: its limits count from there, however often its host dies."""
    ago_s = 0.0 if left.started_unix_s is None else max(0.0, time.time() - left.started_unix_s)
    return time.monotonic() - ago_s


@dataclass(frozen=True)
class _Seen:
    """What the host saw of a run, for its result."""

    launched: Mapping[str, Any] = field(default_factory=dict)
    strangers: int | None = None


def _followed(
    session: Session, run: PlannedRun, record: LaunchRecord, handle: str, began_s: float, company: Company | None
) -> RunEnding:
    """From a start to what came of it, with `launch.json` as the record."""
    ended, verdict = _follow(session, run, handle, began_s, company)
    facts = {**record.facts, **session.launchers.of(run.experiment).record(handle)}
    # On a full disk the result itself is more important than the record of how it came.
    with suppress(OSError):
        record.ended(ended, verdict, time.time(), facts).write()
    seen = _Seen(facts, company.strangers if company else None)
    return _judge(session, run, record.attempt, ended, verdict, seen)


def _attempt(session: Session, run: PlannedRun, number: int, folder: Path) -> Attempt:
    adapter = adapter_key(run.experiment)
    image = session.launchers.image(run.experiment.backend)
    return Attempt(
        study_uid=session.facts.study_uid,
        run_id=run.run_id,
        number=number,
        nonce=secrets.token_hex(16),
        study_folder=session.folder.root,
        folder=folder,
        config=run.experiment,
        model_path=session.inputs.models[model_key(run.experiment)],
        adapter_path=session.inputs.adapters[adapter] if adapter else None,
        image=image.name,
        digest=image.digest,
    )


def _attempt_before(session: Session, run: PlannedRun, order: RunOrder, folder: Path, left: Left) -> Attempt:
    """The attempt that was made before us, as it was made: the image of today may be another."""
    return Attempt(
        study_uid=session.facts.study_uid,
        run_id=run.run_id,
        number=order.attempt,
        nonce=order.nonce,
        study_folder=session.folder.root,
        folder=folder,
        config=run.experiment,
        model_path=left.model_path,
        adapter_path=left.adapter_path,
        image=left.image,
        digest=left.digest,
    )


def _follow(
    session: Session, run: PlannedRun, handle: str, began_s: float, company: Company | None
) -> tuple[Ended, Verdict | None]:
    """From the start to the end. Whatever goes wrong in between, the runner does not go on beside the next one."""
    launcher = session.launchers.of(run.experiment)

    def on_event(event: Event) -> None:
        session.observer.run_event(run, event)
        if company is not None:
            company.see(event)

    try:
        session.observer.run_started(run)
        ended, verdict = follow(
            launcher,
            handle,
            Watch(session.limits, began_s),
            session.interrupts,
            on_event,
            session.observer.notice,
        )
    except BaseException:
        launcher.stop(handle, 0)
        raise
    finally:
        with suppress(OSError):
            launcher.collect(handle)
    return ended, verdict


def _judge(
    session: Session,
    run: PlannedRun,
    attempt: Attempt,
    ended: Ended,
    verdict: Verdict | None,
    seen: _Seen,
) -> RunEnding:
    """A run that ended with 0 and a valid result is completed, even if we asked it to stop; else it is diagnosed."""
    expected = Expected(run_id=run.run_id, attempt=attempt.number, nonce=attempt.nonce)
    rejected: str | None = None
    if ended.exit_code == 0:
        try:
            return _completed(session, run, attempt, read_result(attempt.folder, expected), seen)
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
        no_room=_is_full(attempt.folder),
    )
    # Where somebody asked, there is nothing to find out: the last of it is where the runner happened to be.
    asked = failure.kind is FailureKind.INTERRUPTED
    last_words = () if asked else tuple(last_lines(attempt.folder / LOG_FILE, _LAST_LINES))
    return RunEnding(run, kind=str(failure.kind), message=failure.message, last_words=last_words)


def _completed(session: Session, run: PlannedRun, attempt: Attempt, result: ExperimentResult, seen: _Seen) -> RunEnding:
    """Keep a result. Raises ResultRejected where it is of another experiment, OSError where it cannot be written."""
    if result.experiment != run.experiment or result.backend != run.experiment.backend:
        raise ResultRejected("the result is of another experiment than the one that was asked for")
    study = {
        "llem_version": session.facts.version,
        "git": session.facts.git.model_dump() if session.facts.git else None,
    }
    facts = HostFacts(
        experiment_id=run.experiment_id,
        cycle=run.cycle,
        attempt=attempt.number,
        image=Image(name=attempt.image, digest=attempt.digest),
        launched=seen.launched,
        strangers=seen.strangers,
        study=study,
    )
    result = complete(result, facts)
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
        session.observer.notice(f"{run.run_id}: power.parquet was not made: {problem}.")


_LAST_LINES = 20
_LEAST_ROOM_BYTES = 64 << 10
"""For a runner to say in error.json why it ended."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def _is_full(folder: Path) -> bool:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _LEAST_ROOM_BYTES


def _unwritten(folder: Path, error: OSError) -> str:
    return f"{error.filename or folder}: {error.strerror}. Make room, or mend the permissions, then resume the study."


def _failed(run: PlannedRun, kind: FailureKind, message: str) -> RunEnding:
    return RunEnding(run, kind=str(kind), message=message)
