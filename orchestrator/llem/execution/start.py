"""Begins a study, goes on with one, and ends it: the way from a Study to a StudyResult."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from llem.errors import CliExit, LlemError, NotReadyError
from llem.execution.attempt import collect_left_behind
from llem.execution.begun import Begun, begin, reopen
from llem.execution.check import check_study
from llem.execution.finish import finish_study
from llem.execution.folder import StudyFolder
from llem.execution.interrupts import Interrupts
from llem.execution.journal import Journal
from llem.execution.loop import StopReason, record_ending, run_plan
from llem.execution.manifest import Counts, Manifest
from llem.execution.observer import Observer
from llem.execution.plan_file import PlannedRun
from llem.execution.preflight import Inputs, check_inputs, check_prompts_unchanged, refuse_without_gpu, with_models
from llem.execution.session import Session
from llem.launch.engine import engine_answers
from llem.launch.local import LocalLauncher
from llem.launch.protocol import Launcher
from llem.paths import checked as checked_path
from llem.paths import expanded
from llem.results.study_result import StudyResult
from llem.study import Study
from llem.version import __version__
from llem_runner.contract import ExperimentConfig


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


class InterruptedEarly(LlemError):
    """Somebody pressed Ctrl-C before the first run."""

    exit_code = CliExit.INTERRUPTED


def start_study(study: Study, observer: Observer, launcher: Launcher | None = None) -> StudyEnd:
    """Execute a study in a new folder. Raises UsageError or NotReadyError with nothing started."""
    with Interrupts() as interrupts:
        checked = check_study(study, os.environ, observer.notice)
        plan = checked.plan
        checked_path(study.base_folder.absolute() / study.name)
        parent = expanded(checked.output.folder)
        with closing(launcher or _local_launcher(observer)) as where:
            refuse_without_gpu(plan.experiments.values(), gpus=any(place.gpu_uuids for place in where.capacity()))
            images = where.prepare(study.backends, {})
            # The models last: a machine that is not ready should not learn of it after a download.
            inputs = _with_models(checked.inputs, plan.experiments, study.base_folder, observer, interrupts)
            started = time.time()
            folder = StudyFolder.create(parent, study.slug, plan.design_hash, started)
            with folder.owned():
                begun = begin(folder, study, checked, inputs, started)
                return _execute(begun, inputs, where, images, observer, interrupts)


def resume_study(root: Path, observer: Observer, launcher: Launcher | None = None) -> StudyEnd:
    """Go on with the study in folder `root`: completed runs stay, all others run, none twice."""
    folder = StudyFolder.existing(root)
    with folder.owned(), Interrupts() as interrupts:
        begun = reopen(folder)
        configs = {run.experiment_id: run.experiment for run in begun.todo}
        base_folder = Path(begun.facts.base_folder)
        inputs = check_inputs(configs.values(), base_folder)
        check_prompts_unchanged(inputs, begun.facts.prompts)
        with closing(launcher or _local_launcher(observer)) as where:
            images = where.prepare(list(dict.fromkeys(config.backend for config in configs.values())), {})
            inputs = _with_models(inputs, configs, base_folder, observer, interrupts)
            return _execute(begun, inputs, where, images, observer, interrupts)


def _execute(
    begun: Begun,
    inputs: Inputs,
    launcher: Launcher,
    images: Mapping[str, str | None],
    observer: Observer,
    interrupts: Interrupts,
) -> StudyEnd:
    interrupts.on_urgent = launcher.close
    folder, facts = begun.folder, begun.facts
    with Journal(folder.journal) as journal:
        counts = Counts(total=len(begun.runs), completed=len(begun.done))
        manifest = Manifest(folder.manifest, facts, counts)
        session = Session(folder, facts, inputs, launcher, images, journal, manifest, observer, interrupts)
        observer.study_started(str(folder.root), counts.total, counts.completed)
        try:
            manifest.update(status="running")
            todo = _collect(session, begun) if begun.resumed else begun.todo
            reason = run_plan(session, todo, begun.attempts)
            observer.study_ended()
            return StudyEnd(finish_study(session, reason), folder.root, reason)
        except BaseException:
            observer.study_ended()
            manifest.update(status="stopped")
            raise


def _collect(session: Session, begun: Begun) -> list[PlannedRun]:
    """Take what a killed host left whole in `out/`; what is left to run."""
    session.journal.append("study_resumed", version=__version__)
    left = []
    for run in begun.todo:
        ending = collect_left_behind(session, run) if run.run_id in begun.in_hand else None
        if ending is None:
            left.append(run)
        else:
            record_ending(session, ending)
    return left


def _with_models(
    inputs: Inputs,
    configs: Mapping[str, ExperimentConfig],
    base_folder: Path,
    observer: Observer,
    interrupts: Interrupts,
) -> Inputs:
    """`with_models`; a Ctrl-C, which a download takes for a failure of its own, is told as what it is."""
    stopped = InterruptedEarly("Interrupted before the first run: nothing was started.")
    try:
        inputs = with_models(inputs, configs.values(), base_folder, observer.notice, interrupts.wait)
    except NotReadyError as error:
        if interrupts.requested:
            raise stopped from error
        raise
    if interrupts.requested:
        raise stopped
    return inputs


def _local_launcher(observer: Observer) -> LocalLauncher:
    """The launcher of the study, with the line that says where its runs happen."""
    launcher = LocalLauncher()
    gpus = [f"{len(place.gpu_uuids)} × {place.gpu_model}" for place in launcher.capacity() if place.gpu_model]
    on = f"on {', '.join(gpus)}" if gpus else "on the CPU: no NVIDIA GPU was found"
    why = "Runs in containers are not available yet" if engine_answers() else "No container engine answers"
    observer.notice(f"{why}: runs are local (subprocesses of this Python), {on}.")
    return launcher
