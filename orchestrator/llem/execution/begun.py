"""A study on the disk: written when it begins, read back when it goes on."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llem.errors import NotReadyError
from llem.execution.check import Checked
from llem.execution.facts import StudyFacts, facts_of
from llem.execution.folder import StudyFolder
from llem.execution.git_commit import git_commit
from llem.execution.journal import Journal, read_journal
from llem.execution.plan_file import PlannedRun, plan_hash, planned_runs, read_plan
from llem.execution.preflight import Inputs
from llem.execution.where import BackendWhere
from llem.results.read import is_completed
from llem.study import Study
from llem.version import __version__
from llem_runner.contract.exchange import RESULT_FILE


@dataclass(frozen=True)
class Begun:
    """A study that has begun: what it was asked, what is done, and how often each run was tried."""

    folder: StudyFolder
    facts: StudyFacts
    runs: list[PlannedRun]
    done: frozenset[str] = frozenset()
    attempts: Mapping[str, int] = field(default_factory=dict)
    in_hand: frozenset[str] = frozenset()
    """Runs that the journal saw start and not end, or complete: what they left whole in `out/` counts."""
    resumed: bool = False
    engine: str | None = None
    """The engine of whoever ran it last."""
    runner: str | None = None
    """The copy of the runner that it used last."""

    @property
    def todo(self) -> list[PlannedRun]:
        """Runs without a valid result, in order."""
        return [run for run in self.runs if run.run_id not in self.done]


@dataclass(frozen=True)
class Machine:
    """What a study found where it began: see StudyFacts."""

    where: Mapping[str, BackendWhere]
    gpu_models: tuple[str, ...] | None
    engine: str | None
    runner: str | None


def begin(
    folder: StudyFolder,
    study: Study,
    checked: Checked,
    inputs: Inputs,
    machine: Machine,
    started_unix_s: float,
) -> Begun:
    """Write what the study goes on from: its file, its plan, and the first line of its journal."""
    plan = checked.plan
    runs = list(planned_runs(plan))
    try:
        folder.study.write_text(study.text, encoding="utf-8")
        folder.write_plan(run.model_dump(mode="json") for run in runs)
    except OSError as error:
        raise NotReadyError(f"{folder.root}: the study cannot be written here ({error.strerror}).") from error
    settings = study.execution
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
        save_timeline=checked.output.save_timeline,
        where=dict(machine.where),
        docker=study.docker,
        gpus=settings.gpus,
        skip_preflight=settings.skip_preflight,
        gate=settings.gate,
        git=git_commit(study.base_folder.absolute()),
        gpu_models=machine.gpu_models,
        engine=machine.engine,
        runner=machine.runner,
        prompts=inputs.prompt_hashes(),
        commits=dict(inputs.commits),
        calibration=dict(checked.calibration),
        skipped=tuple(skipped.to_json() for skipped in plan.skipped),
        warnings=tuple({"code": "plan", "message": message} for message in plan.warnings),
    )
    with Journal(folder.journal) as journal:
        journal.append("study_started", **facts.model_dump(mode="json"))
    return Begun(folder, facts, runs)


def reopen(folder: StudyFolder) -> Begun:
    """Read back a study: a run is done if and only if its `result.json` is there and validates."""
    journal = read_journal(folder.journal)
    facts = facts_of(journal, str(folder.journal))
    runs = read_plan(folder.plan, facts.plan_hash)
    last = {line["run_id"]: line["event"] for line in journal if "run_id" in line}
    return Begun(
        folder,
        facts,
        runs,
        done=frozenset(
            run.run_id for run in runs if is_completed(folder.run(run.sequence, run.run_id) / RESULT_FILE, run.run_id)
        ),
        attempts=Counter(line["run_id"] for line in journal if line["event"] == "run_started"),
        in_hand=frozenset(run_id for run_id, event in last.items() if event in ("run_started", "run_completed")),
        resumed=True,
        engine=_last(journal, "engine"),
        runner=_last(journal, "runner"),
    )


def _last(journal: list[dict[str, Any]], name: str) -> str | None:
    """What the last llem that ran the study wrote."""
    return next((str(line[name]) for line in reversed(journal) if line.get(name)), None)
