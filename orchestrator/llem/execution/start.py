"""Begins a study, goes on with one, and ends it: the way from a Study to a StudyResult."""

from __future__ import annotations

import os
import shlex
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from llem.checklist import Checklist
from llem.errors import CliExit, NotReadyError
from llem.execution.begun import Begun, Machine, begin, reopen
from llem.execution.check import check_study
from llem.execution.exchange import read_order
from llem.execution.finish import finish_study
from llem.execution.folder import StudyFolder
from llem.execution.gpu_use import GpuUse
from llem.execution.interrupts import InterruptedEarly, Interrupts, not_interrupted
from llem.execution.journal import Journal
from llem.execution.launch_record import read_launch
from llem.execution.launching import chosen_launchers, launch_options, opened, wants_gpus
from llem.execution.left import collect_left
from llem.execution.loop import StopReason, run_plan
from llem.execution.manifest import Counts, Manifest
from llem.execution.observer import Observer
from llem.execution.plan_file import PlannedRun
from llem.execution.preflight import (
    NOTHING_PINNED,
    Inputs,
    check_inputs,
    check_prompts_unchanged,
    with_models,
)
from llem.execution.readiness.needs import Needs
from llem.execution.readiness.preflight import Preflight
from llem.execution.session import Session
from llem.execution.thermal_gate import ThermalGate, idle_seen
from llem.execution.where import BackendWhere, Choice, Launchers, only
from llem.launch.docker import remove_working_folders
from llem.launch.gpu_lease import LeaseGivenUp
from llem.launch.protocol import Launcher
from llem.paths import checked as checked_path
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
        if self.reason == "no_healthy_gpu":
            return CliExit.NOT_READY
        runs = self.result.runs
        return CliExit.OK if runs.completed == runs.total else CliExit.RUN_FAILED


def start_study(study: Study, observer: Observer, launcher: Launcher | None = None) -> StudyEnd:
    """Execute a study in a new folder. Raises UsageError or NotReadyError with nothing started."""
    with Interrupts() as interrupts:
        checked = check_study(study, os.environ, observer.notice)
        plan = checked.plan
        checked_path(study.base_folder.absolute() / study.name)
        options = launch_options(study.docker, study.execution.gpus, plan.experiments.values())
        needs = Needs.of_study(study, checked)
        preflight = Preflight(needs, judging=not study.execution.skip_preflight)
        chosen = (
            only(launcher, checked.places)
            if launcher
            else chosen_launchers(checked.places, options, observer, interrupts, preflight.checklist)
        )
        with closing(chosen) as launchers:
            with not_interrupted(interrupts):
                preflight.make_ready(launchers)
            _tell(preflight, launchers, options.wants_gpus, observer)
            # The models last: a machine that is not ready should not learn of it after a download.
            inputs = _with_models(checked.inputs, plan.experiments, study.base_folder, observer, interrupts)
            _check_fetched(preflight, inputs, launchers, observer)
            started = time.time()
            folder = StudyFolder.create(needs.parent, study.slug, plan.design_hash, started)
            with folder.owned():
                machine = Machine(
                    where=launchers.where,
                    gpu_models=launchers.gpu_models() if options.wants_gpus else None,
                    engine=launchers.engine,
                    runner=launchers.keep_runner(folder.root, None),
                )
                begun = begin(folder, study, checked, inputs, machine, started)
                return _execute(begun, inputs, launchers, observer, interrupts)


def resume_study(root: Path, observer: Observer, launcher: Launcher | None = None) -> StudyEnd:
    """Go on with the study in folder `root`: completed runs stay, all others run, none twice."""
    folder = StudyFolder.existing(root)
    with folder.owned(), Interrupts() as interrupts:
        begun = reopen(folder)
        facts = begun.facts
        configs = {run.experiment_id: run.experiment for run in begun.todo}
        base_folder = Path(facts.base_folder)
        inputs = check_inputs(configs.values(), base_folder)
        check_prompts_unchanged(inputs, facts.prompts)
        backends = dict.fromkeys(config.backend for config in configs.values())
        where: dict[str, BackendWhere] = {
            backend: facts.where.get(backend, BackendWhere(launcher="local")) for backend in backends
        }
        options = launch_options(facts.docker, facts.gpus, configs.values())
        checklist = Checklist()
        choice = Choice(where)
        there = only(launcher, backends) if launcher else opened(choice, options, observer, interrupts, checklist)
        with closing(there) as launchers:
            checklist.raise_if_failed()
            _refuse_another_engine(begun, launchers)
            runner = launchers.keep_runner(folder.root, begun.runner) if begun.todo else None
            return _execute(replace(begun, runner=runner), inputs, launchers, observer, interrupts)


def _execute(
    begun: Begun, inputs: Inputs, launchers: Launchers, observer: Observer, interrupts: Interrupts
) -> StudyEnd:
    interrupts.on_urgent = launchers.kill
    folder, facts = begun.folder, begun.facts
    with Journal(folder.journal) as journal, closing(GpuUse(facts, launchers, interrupts, observer)) as gpus:
        counts = Counts(total=len(begun.runs), completed=len(begun.done))
        manifest = Manifest(folder.manifest, facts, counts)
        gate = ThermalGate(facts.gate, interrupts.wait, observer.notice, idle_c=_idle_temperatures(begun))
        session = Session(folder, facts, inputs, launchers, gpus, gate, journal, manifest, observer, interrupts)
        observer.study_started(str(folder.root), counts.total, counts.completed)
        try:
            manifest.update(status="running")
            reason = _resumed_runs(session, begun) if begun.resumed else run_plan(session, begun.todo, begun.attempts)
            observer.study_ended()
            launchers.clear(facts.study_uid)
            if reason == "plan_done":
                remove_working_folders(folder.root)
            return StudyEnd(finish_study(session, reason), folder.root, reason)
        except BaseException:
            observer.study_ended()
            manifest.update(status="stopped")
            raise


def _idle_temperatures(begun: Begun) -> dict[str, float]:
    """What the gate of a study that goes on saw before: its GPUs may be warm now."""
    if begun.facts.gate is None or not begun.resumed:
        return {}
    return idle_seen(read_launch(begun.folder.run(run.sequence, run.run_id)).facts.get("gate") for run in begun.runs)


def _resumed_runs(session: Session, begun: Begun) -> StopReason:
    """What a killed host left first: it needs nothing. Then what all others need, and these, in order."""
    launchers, engine = session.launchers, session.launchers.engine
    session.journal.append("study_resumed", version=__version__, engine=engine, runner=begun.runner)
    try:
        left = collect_left(session, begun)
        # What is adopted is collected by now: any other container of this study is in the way.
        launchers.clear(session.facts.study_uid)
        todo = [run for run in begun.todo if run.run_id not in left.completed]
        if todo and not session.interrupts.requested:
            session = _ready_to_go_on(session, todo, left.draining)
            left.drain(session)
        return run_plan(session, todo, begun.attempts)
    except (LeaseGivenUp, InterruptedEarly):
        return "interrupted"


def _ready_to_go_on(session: Session, todo: Sequence[PlannedRun], draining: Collection[str]) -> Session:
    """The session with all that the runs still to do need; its own may still be leaving the GPUs `draining`."""
    launchers, facts, observer = session.launchers, session.facts, session.observer
    configs = {run.experiment_id: run.experiment for run in todo}
    base_folder = Path(facts.base_folder)
    needs = Needs(
        experiments=configs,
        runs=Counter(run.experiment_id for run in todo),
        inputs=session.inputs,
        base_folder=base_folder,
        parent=session.folder.root,
        gpus=facts.gpus,
        save_timeline=facts.save_timeline,
    )
    preflight = Preflight(needs, judging=not facts.skip_preflight)
    with not_interrupted(session.interrupts):
        preflight.make_ready(launchers, facts.study_uid, facts.gpu_models, draining)
    _tell(preflight, launchers, wants_gpus(configs.values()), observer)
    inputs = _with_models(session.inputs, configs, base_folder, observer, session.interrupts, facts.commits)
    _check_fetched(preflight, inputs, launchers, observer)
    return replace(session, inputs=inputs)


def _tell(preflight: Preflight, launchers: Launchers, on_gpus: bool, observer: Observer) -> None:
    for line in (*preflight.told(), launchers.described(on_gpus)):
        observer.notice(line)


def _check_fetched(preflight: Preflight, inputs: Inputs, launchers: Launchers, observer: Observer) -> None:
    for line in preflight.check_fetched(inputs, launchers):
        observer.notice(line)


def _refuse_another_engine(begun: Begun, launchers: Launchers) -> None:
    """Raise NotReadyError where a run may still go on in an engine that is not the one that answers now."""
    if None in (begun.engine, launchers.engine) or begun.engine == launchers.engine:
        return
    for run in begun.todo:
        folder = begun.folder.run(run.sequence, run.run_id)
        if run.run_id in begun.in_hand and read_order(folder) is not None:
            raise NotReadyError(
                f"{run.run_id} was left in a container of another engine than the one that answers now, and may still "
                "go on there: it would run twice. Resume where that engine is (DOCKER_HOST). If it is gone for good: "
                f"rm -r {shlex.quote(str(folder))}, then resume."
            )


def _with_models(
    inputs: Inputs,
    configs: Mapping[str, ExperimentConfig],
    base_folder: Path,
    observer: Observer,
    interrupts: Interrupts,
    pinned: Mapping[str, str] = NOTHING_PINNED,
) -> Inputs:
    """`with_models`; a Ctrl-C, which a download takes for a failure of its own, is told as what it is."""
    with not_interrupted(interrupts):
        return with_models(inputs, configs.values(), base_folder, observer.notice, interrupts.wait, pinned)
