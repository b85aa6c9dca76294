"""Begins a study, goes on with one, and ends it: the way from a Study to a StudyResult."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from llem.errors import CliExit, NotReadyError
from llem.execution.attempt import collect_left_behind
from llem.execution.facts import StudyFacts, facts_of
from llem.execution.finish import finish_study
from llem.execution.folder import StudyFolder
from llem.execution.interrupts import Interrupts
from llem.execution.journal import Journal, read_journal
from llem.execution.loop import StopReason, record_ending, run_plan
from llem.execution.manifest import Counts, Manifest
from llem.execution.observer import Observer
from llem.execution.plan_file import PlannedRun, plan_hash, planned_runs, read_plan
from llem.execution.preflight import Inputs, check_inputs, check_prompts_unchanged, with_models
from llem.execution.session import Session
from llem.launch.engine import engine_answers
from llem.launch.local import LocalLauncher
from llem.launch.protocol import Launcher
from llem.results import StudyResult, is_completed
from llem.study import Plan, Study, make_plan, unavailable
from llem.version import __version__


@dataclass(frozen=True)
class StudyEnd:
    """What came of a study, and why it ended."""

    result: StudyResult
    folder: Path
    reason: StopReason

    @property
    def exit_code(self) -> CliExit:
        """The exit code of `llem run`."""
        if self.reason == "interrupted":
            return CliExit.INTERRUPTED
        runs = self.result.runs
        return CliExit.OK if runs.completed == runs.total else CliExit.RUN_FAILED


@dataclass(frozen=True)
class Checked:
    """A study that could be run: its plan, and its inputs but for the models that have yet to be made ready."""

    plan: Plan
    inputs: Inputs


def check_study(study: Study, notice: Callable[[str], None]) -> Checked:
    """Check everything that can be checked without starting or fetching anything. Raises UsageError, NotReadyError."""
    plan = make_plan(study)
    missing = unavailable(study, plan)
    if missing:
        raise NotReadyError("\n".join(item.message for item in missing))
    for message in (*plan.notes, *plan.warnings):
        notice(message)
    return Checked(plan, check_inputs(plan.experiments.values(), study.base_folder))


def start_study(study: Study, observer: Observer) -> StudyEnd:
    """Execute a study in a new folder. Raises UsageError or NotReadyError with nothing started."""
    with Interrupts() as interrupts:
        checked = check_study(study, observer.notice)
        plan = checked.plan
        inputs = with_models(checked.inputs, plan.experiments.values(), study.base_folder, observer.notice)
        launcher = _open_launcher(study.runners, interrupts, observer)
        images = launcher.prepare(study.backends, {})
        started = time.time()
        folder = StudyFolder.create(study.output.folder, study.slug, plan.design_hash, started)
        try:
            folder.lock()
            facts = _begin(folder, study, plan, inputs, started)
            runs = list(planned_runs(plan))
            return _execute(
                folder, facts, runs, inputs, launcher, images, observer, interrupts, done=frozenset(), attempts={}
            )
        finally:
            launcher.close()
            folder.unlock()


def resume_study(root: Path, observer: Observer) -> StudyEnd:
    """Go on with the study in folder `root`: completed runs stay, all others run, none twice."""
    folder = StudyFolder.existing(root)
    folder.lock()
    try:
        journal = read_journal(folder.journal)
        facts = facts_of(journal, str(folder.journal))
        runs = read_plan(folder.plan, facts.plan_hash)
        done = frozenset(run.run_id for run in runs if is_completed(folder.run(run.sequence, run.run_id), run.run_id))
        attempts = Counter(line["run_id"] for line in journal if line["event"] == "run_started")
        todo_configs = [run.experiment for run in runs if run.run_id not in done]
        with Interrupts() as interrupts:
            base_folder = Path(facts.base_folder)
            inputs = check_inputs(todo_configs, base_folder)
            check_prompts_unchanged(inputs, facts.prompts)
            inputs = with_models(inputs, todo_configs, base_folder, observer.notice)
            launcher = _open_launcher({}, interrupts, observer)
            backends = list(dict.fromkeys(config.backend for config in todo_configs))
            images = launcher.prepare(backends, {})
            try:
                return _execute(
                    folder, facts, runs, inputs, launcher, images, observer, interrupts, done=done, attempts=attempts
                )
            finally:
                launcher.close()
    finally:
        folder.unlock()


def _execute(
    folder: StudyFolder,
    facts: StudyFacts,
    runs: list[PlannedRun],
    inputs: Inputs,
    launcher: Launcher,
    images: Mapping[str, str | None],
    observer: Observer,
    interrupts: Interrupts,
    *,
    done: frozenset[str],
    attempts: Mapping[str, int],
) -> StudyEnd:
    with Journal(folder.journal) as journal:
        manifest = Manifest(folder.manifest, facts, Counts(total=len(runs), completed=len(done)))
        session = Session(folder, facts, runs, inputs, launcher, images, journal, manifest, observer, interrupts)
        observer.study_started(str(folder.root), len(runs), len(done))
        todo = [run for run in runs if run.run_id not in done]
        if attempts:
            journal.append("study_resumed", version=__version__)
            todo = _collect(session, todo, attempts)
        manifest.update(status="running")
        end = run_plan(session, todo, attempts)
        observer.study_ended()
        return StudyEnd(finish_study(session, end.reason), folder.root, end.reason)


def _collect(session: Session, todo: list[PlannedRun], attempts: Mapping[str, int]) -> list[PlannedRun]:
    """Take what a killed host left whole in `out/`; what is left to run."""
    left = []
    for run in todo:
        ending = collect_left_behind(session, run) if run.run_id in attempts else None
        if ending is None:
            left.append(run)
        else:
            record_ending(session, ending)
    return left


def _begin(folder: StudyFolder, study: Study, plan: Plan, inputs: Inputs, started_unix_s: float) -> StudyFacts:
    """Write what the study goes on from: its file, its plan, and the first line of its journal."""
    settings = study.execution
    try:
        folder.study.write_text(study.text, encoding="utf-8")
        folder.write_plan(run.model_dump(mode="json") for run in planned_runs(plan))
    except OSError as error:
        raise NotReadyError(f"{folder.root}: the study cannot be written here ({error.strerror}).") from error
    facts = StudyFacts(
        study_uid=secrets.token_hex(6),
        name=study.name,
        design_hash=plan.design_hash,
        plan_hash=plan_hash(folder.plan),
        version=__version__,
        started_unix_s=started_unix_s,
        base_folder=str(study.base_folder.absolute()),
        n_cycles=settings.n_cycles,
        timeout_seconds=settings.timeout_seconds,
        load_timeout_seconds=settings.load_timeout_seconds,
        stall_seconds=settings.stall_seconds,
        max_consecutive_failures=settings.max_consecutive_failures,
        wall_clock_limit_hours=settings.wall_clock_limit_hours,
        save_timeline=study.output.save_timeline,
        prompts=inputs.prompt_hashes(),
        skipped=tuple(skipped.to_json() for skipped in plan.skipped),
        warnings=tuple({"code": "plan", "message": message} for message in plan.warnings),
    )
    with Journal(folder.journal) as journal:
        journal.append("study_started", **facts.model_dump(mode="json"))
    return facts


def _open_launcher(runners: Mapping[str, object], interrupts: Interrupts, observer: Observer) -> Launcher:
    """The launcher of the study, with the line that says where its runs happen."""
    launcher = LocalLauncher()
    interrupts.on_urgent = launcher.close
    observer.notice(_where(launcher, engine_answers()))
    return launcher


def _where(launcher: Launcher, engine: bool) -> str:
    gpus = [f"{len(place.gpu_uuids)} × {place.gpu_model}" for place in launcher.capacity() if place.gpu_model]
    on = f"on {', '.join(gpus)}" if gpus else "on the CPU: no NVIDIA GPU was found"
    why = "Runs in containers are not available yet" if engine else "No container engine answers"
    return f"{why}: runs are local (subprocesses of this Python), {on}."
