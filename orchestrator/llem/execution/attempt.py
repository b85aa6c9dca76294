"""One try at one run: the exchange folder made ready, the runner started and followed, its result judged."""

from __future__ import annotations

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
from llem_runner.contract import FailureKind
from llem_runner.contract.exchange import RESULT_FILE
from llem_runner.contract.result import Image


def attempt_run(session: Session, run: PlannedRun, number: int) -> RunEnding:
    """Execute a run once. Raises JournalUnwritable; everything else that goes wrong is the run's own ending."""
    folder = session.folder.run(run.sequence, run.run_id)
    attempt = _attempt(session, run, number, folder)
    try:
        prompts = session.inputs.prompts[prompts_key(run.experiment)]
        write_order(folder, run, number, attempt.nonce, prompts)
    except OSError as error:
        session.journal.append("run_started", run_id=run.run_id, attempt=number, handle=attempt.handle)
        return _failed(run, FailureKind.DISK, f"{folder}: the run could not be prepared: {error.strerror}")
    session.journal.append("run_started", run_id=run.run_id, attempt=number, handle=attempt.handle)
    session.manifest.update(run_in_hand=run.run_id)
    try:
        ended, verdict = _launch_and_follow(session, run, attempt)
        return _judge(session, run, attempt, ended, verdict)
    except OSError as error:
        return _failed(run, FailureKind.DISK, f"{error.filename or folder}: {error.strerror}")
    except LlemError as error:
        return _failed(run, FailureKind.RUNNER_CRASH, f"the run could not be started: {error}")


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


def _launch_and_follow(session: Session, run: PlannedRun, attempt: Attempt) -> tuple[Ended, Verdict | None]:
    place = session.launcher.capacity()[0]
    place = place.first(gpus_needed(run.experiment, place.gpu_uuids))
    record = LaunchRecord(attempt, session.launcher.name, place, time.time())
    record.write()
    handle = session.launcher.start(attempt, place)
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
    # On a full disk the result itself is more important than the record of how it came.
    with suppress(OSError):
        record.ended(ended, verdict, time.time()).write()
    return ended, verdict


def _judge(session: Session, run: PlannedRun, attempt: Attempt, ended: Ended, verdict: Verdict | None) -> RunEnding:
    """A valid result counts however the process ended up dying after it; without one the ending is diagnosed."""
    expected = Expected(run_id=run.run_id, attempt=attempt.number, nonce=attempt.nonce)
    rejected: str | None = None
    if ended.exit_code == 0:
        try:
            image = Image(name=attempt.image, digest=session.images.get(run.experiment.backend))
            facts = HostFacts(run.experiment_id, run.cycle, attempt.number, image)
            result = complete(read_result(attempt.folder, expected), facts)
            if session.facts.save_timeline:
                save_timeline(attempt.folder)
            write_result(attempt.folder / RESULT_FILE, result)
            return RunEnding(run, result=result)
        except ResultRejected as error:
            rejected = str(error)
    failure = diagnose(
        ended,
        asked=verdict.kind if verdict else None,
        error=read_error(attempt.folder, expected),
        rejected=rejected,
        asked_words=verdict.message if verdict else None,
    )
    return _failed(run, failure.kind, failure.message)


def _failed(run: PlannedRun, kind: FailureKind, message: str) -> RunEnding:
    return RunEnding(run, kind=str(kind), message=message)
