"""`study_result.json`: what a study as a whole came to. Built by a pure function from the outcomes of its runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Optional

from pydantic import Field

from llem.atomic import write_atomically
from llem.errors import NotReadyError
from llem.printable import json_for_terminal
from llem.results.comparison import Comparison, compare
from llem.results.flatten import columns, flatten_as, sizes
from llem.results.levels import experiment_quality, idle_power
from llem.results.pairs import Side
from llem.results.same_work import Agreement, different_ids
from llem.results.statistics import Statistic, statistic
from llem.results.tables import to_arrow
from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import Quality, ResultWarning
from llem_runner.contract.strict import Record

if TYPE_CHECKING:
    import pandas
    import pyarrow

STUDY_SCHEMA_VERSION = 1
ENERGY_PER_TOKEN = "energy.per_output_token_j"

# Numbers that are no measurements: of these there is no mean.
_NO_METRIC = frozenset({"schema_version", "contract_version", "attempt", "cycle"})
_NO_METRIC_ENDINGS = ("_unix_s", ".index", ".n")
_ONLY_WHERE_MEASURED = ("energy.devices.", "phases.")


class RunCounts(Record):
    """Runs of the plan by how they ended. What is in none of the three has not been run yet."""

    total: int
    completed: int = 0
    failed: int = 0
    interrupted: int = 0


class ExperimentSummary(Record):
    """One experiment over its cycles."""

    experiment_id: str
    swept: dict[str, Any] = Field(default_factory=dict)
    cycles: int
    """How many of its runs were completed."""
    failed: tuple[str, ...] = ()
    """Ids of its runs that failed: they are in no number here; `failures` has the reasons."""
    quality: Optional[Quality] = None
    """None where no run was completed."""
    simulated: bool = False
    """Whether any of its runs was measured on simulated boards: it belongs beside the level wherever that is shown."""
    metrics: dict[str, Statistic] = Field(default_factory=dict)
    """By column of `results.parquet`; `n` below `cycles` means that some runs did not measure it."""


class RunFailure(Record):
    """A run that failed."""

    run_id: str
    kind: str
    message: str


class Skipped(Record):
    """An experiment that breaks a rule and was not run."""

    rule: str
    reason: str
    experiment: dict[str, Any]


class StudyResult(Record):
    """What a study came to: `study_result.json`, and the results of its completed runs in the order of the plan."""

    schema_version: int = STUDY_SCHEMA_VERSION
    study_name: str
    study_design_hash: str
    started_unix_s: float
    ended_unix_s: Optional[float] = None
    simulated: bool
    """Whether any of the runs was measured on simulated boards."""
    runs: RunCounts
    experiments_skipped: int = 0
    experiments: tuple[ExperimentSummary, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    """Experiments against each other; none where there is only one."""
    agreement: tuple[Agreement, ...] = ()
    failures: tuple[RunFailure, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[ResultWarning, ...] = ()
    results: tuple[ExperimentResult, ...] = Field(default=(), exclude=True)
    """One a completed run; they lie in `runs/<run>/result.json`, not in `study_result.json`."""

    def to_arrow(self) -> pyarrow.Table:
        """The results as a pyarrow table: the content of `results.parquet`."""
        return to_arrow(self.results)

    def to_pandas(self) -> pandas.DataFrame:
        """The results as a pandas data frame. Raises NotReadyError where pandas is not installed."""
        try:
            import pandas  # noqa: F401
        except ImportError as error:
            raise NotReadyError("to_pandas needs pandas: pip install 'llem[pandas]'.") from error
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame


@dataclass(frozen=True)
class StudyRecord:
    """What is known of a study apart from its runs."""

    name: str
    design_hash: str
    started_unix_s: float
    ended_unix_s: float | None = None
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[ResultWarning, ...] = ()


@dataclass(frozen=True)
class RunOutcome:
    """How one run of the plan stands. `pending` is a run that has not been run, or whose end nobody recorded."""

    run_id: str
    experiment_id: str
    status: Literal["completed", "failed", "interrupted", "pending"]
    swept: Mapping[str, Any] = field(default_factory=dict)
    result: ExperimentResult | None = None
    kind: str = ""
    message: str = ""


def build_study_result(
    study: StudyRecord, outcomes: Sequence[RunOutcome], agreement: Iterable[Agreement] = ()
) -> StudyResult:
    """The study's result from its outcomes, which are in the order of the plan, one a run."""
    results = tuple(outcome.result for outcome in outcomes if outcome.result is not None)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    experiments = tuple(_experiments(outcomes, results))
    return StudyResult(
        study_name=study.name,
        study_design_hash=study.design_hash,
        started_unix_s=study.started_unix_s,
        ended_unix_s=study.ended_unix_s,
        simulated=any(result.simulated for result in results),
        runs=RunCounts(
            total=len(outcomes),
            completed=len(results),
            failed=len(failed),
            interrupted=sum(outcome.status == "interrupted" for outcome in outcomes),
        ),
        experiments_skipped=len(study.skipped),
        experiments=experiments,
        comparisons=compare(list(_sides(experiments, results))),
        agreement=tuple(agreement),
        failures=tuple(RunFailure(run_id=run.run_id, kind=run.kind, message=run.message) for run in failed),
        skipped=study.skipped,
        warnings=tuple(dict.fromkeys((*study.warnings, *different_ids(results)))),
        results=results,
    )


def write_study_result(path: Path, study: StudyResult) -> None:
    """Write `study_result.json`, whole or not at all. Raises OSError."""
    content = json_for_terminal(study.model_dump_json(indent=2)).encode() + b"\n"
    write_atomically(path, lambda file: file.write(content))


def metrics(results: Sequence[ExperimentResult]) -> dict[str, Statistic]:
    """Statistics of everything that was measured, by column, over the cycles of one experiment (at least one).

    What no cycle measured has n 0; devices and phases appear only where they were measured.
    """
    wanted = {name: kind for name, kind in columns(*sizes(list(results))).items() if _is_metric(name, kind)}
    rows = [flatten_as(result, wanted) for result in results]
    found = {name: statistic([_number(row[name]) for row in rows]) for name in wanted}
    return {name: each for name, each in found.items() if each.n or not name.startswith(_ONLY_WHERE_MEASURED)}


def _experiments(outcomes: Iterable[RunOutcome], study: Sequence[ExperimentResult]) -> Iterable[ExperimentSummary]:
    runs: dict[str, list[RunOutcome]] = {}
    for outcome in outcomes:
        runs.setdefault(outcome.experiment_id, []).append(outcome)
    study_idle = idle_power(study)
    for experiment_id, own in runs.items():
        results = sorted((run.result for run in own if run.result is not None), key=lambda result: result.cycle or 0)
        measured = metrics(results) if results else {}
        failed = tuple(run.run_id for run in own if run.status == "failed")
        level = experiment_quality(results, measured[ENERGY_PER_TOKEN], study_idle, len(failed)) if results else None
        yield ExperimentSummary(
            experiment_id=experiment_id,
            swept=dict(own[0].swept),
            cycles=len(results),
            failed=failed,
            quality=level,
            simulated=any(result.simulated for result in results),
            metrics=measured,
        )


def _sides(experiments: Iterable[ExperimentSummary], results: Iterable[ExperimentResult]) -> Iterator[Side]:
    """The experiments that were measured, as they are compared."""
    runs: dict[str | None, dict[int, ExperimentResult]] = {}
    for result in results:
        if result.cycle is not None:
            runs.setdefault(result.experiment_id, {})[result.cycle] = result
    for each in experiments:
        if each.quality is not None and each.experiment_id in runs:
            yield Side(each.experiment_id, each.swept, each.quality.level, each.simulated, runs[each.experiment_id])


def _is_metric(name: str, kind: str) -> bool:
    if kind not in ("int", "float") or name in _NO_METRIC or name.startswith("experiment."):
        return False
    return not name.endswith(_NO_METRIC_ENDINGS)


def _number(value: bool | int | float | str | None) -> float | None:
    return value if isinstance(value, (int, float)) else None
