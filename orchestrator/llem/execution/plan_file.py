"""`plan.jsonl`: the plan as it is run, so that a study goes on from its folder alone, wherever its file went."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from llem.errors import NotReadyError
from llem.study import Plan
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.strict import Record


class PlannedRun(Record):
    """A line of `plan.jsonl`: one run, with everything that is needed to execute it."""

    sequence: int
    run_id: str
    experiment_id: str
    cycle: int
    gap_seconds: float = 0.0
    experiment: ExperimentConfig
    swept: dict[str, Any] = Field(default_factory=dict)


def planned_runs(plan: Plan) -> Iterator[PlannedRun]:
    """The runs of a plan, in order."""
    for run in plan.runs:
        yield PlannedRun(
            sequence=run.sequence,
            run_id=run.run_id,
            experiment_id=run.experiment_id,
            cycle=run.cycle,
            gap_seconds=run.gap_seconds,
            experiment=plan.experiments[run.experiment_id],
            swept=plan.swept_values(run.experiment_id),
        )


def plan_hash(path: Path) -> str:
    """SHA-256 of the plan file, first 12 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def read_plan(path: Path, expected_hash: str) -> list[PlannedRun]:
    """The runs of a study folder. Raises NotReadyError where the file is not the one that was written."""
    try:
        if plan_hash(path) != expected_hash:
            raise NotReadyError(f"{path} is not the plan that this study began with (its hash differs).")
        with path.open(encoding="utf-8") as file:
            return [PlannedRun.model_validate_json(line) for line in file]
    except (OSError, ValidationError) as error:
        raise NotReadyError(f"{path}: the plan cannot be read: {error}") from error
