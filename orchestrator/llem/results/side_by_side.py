"""Experiments that do the same work side by side, the best first: a table for each work and model. Pure.

A cell has up to four short lines, so that the table fits into 80 columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llem.results.cells import NOTHING, Table, cell, level_of, measure, short_names
from llem.results.comparison import Comparison, Ratio
from llem.results.ratio_text import ENERGY_WORDS, SPEED_WORDS, Words, mark_of, ratio_lines
from llem.results.statistics import Statistic
from llem.results.study_result import ENERGY_PER_TOKEN, ExperimentSummary, StudyResult
from llem.results.summary import THROUGHPUT

MOST_ROWS = 10
"""Experiments that are shown, of all tables together; each table has the best and the next."""
NOT_MEASURED = "n/a"
LATENCIES = {"first": "latency.ttft_s.p50", "next": "latency.itl_s.p50", "whole": "latency.request_s.p50"}
"""Words of the latency column → column of `results.parquet`."""


@dataclass(frozen=True)
class Group:
    """The best experiment of a group, and the others with what they are against it, the nearest first."""

    best: ExperimentSummary
    others: tuple[tuple[ExperimentSummary, Comparison], ...]

    @property
    def members(self) -> tuple[ExperimentSummary, ...]:
        """All of them, the best first."""
        return (self.best, *(experiment for experiment, _ in self.others))


def groups(study: StudyResult) -> list[Group]:
    """The experiments that are compared with a best one, by that one."""
    by_id = {each.experiment_id: each for each in study.experiments}
    found: dict[str, list[Comparison]] = {}
    for each in study.comparisons:
        if "best" in each.kinds and {each.reference_id, each.experiment_id} <= by_id.keys():
            found.setdefault(each.reference_id, []).append(each)
    return [
        Group(by_id[best], tuple((by_id[each.experiment_id], each) for each in sorted(against, key=_distance)))
        for best, against in found.items()
    ]


def side_by_side(study: StudyResult) -> tuple[list[Table], int]:
    """The tables, and how many experiments of groups they leave out."""
    found = groups(study)
    shown = found[: MOST_ROWS // 2]
    each = max(2, MOST_ROWS // len(found)) if found else 0
    left_out = sum(len(group.members) for group in found) - sum(min(each, len(group.members)) for group in shown)
    return [_table(group, each, study) for group in shown], left_out


def name_of(experiment: ExperimentSummary, among: Sequence[ExperimentSummary]) -> list[str]:
    """What tells the experiment from the others, one line a swept path: `batch_size 8`."""
    paths = _varying(among)
    names = dict(zip(paths, short_names(paths), strict=True))
    return [f"{names[path]} {cell(experiment.swept[path])}" for path in paths if path in experiment.swept]


def _varying(among: Sequence[ExperimentSummary]) -> list[str]:
    paths = dict.fromkeys(path for each in among for path in each.swept)
    return [path for path in paths if len({cell(each.swept.get(path)) for each in among}) > 1]


def _distance(comparison: Comparison) -> tuple[bool, float]:
    """Less energy first, or more tokens/s; what is not compared is last."""
    energy, speed = comparison.energy_per_output_token, comparison.output_tokens_per_s
    if energy is not None and energy.ratio is not None:
        return False, energy.ratio
    if speed is not None and speed.ratio is not None:
        return False, 1 / speed.ratio
    return True, 0.0


def _table(group: Group, most: int, study: StudyResult) -> Table:
    members = group.members
    shared = [path for path in _varying(study.experiments) if path not in _varying(members)]
    constants = [
        f"{name} {cell(group.best.swept[path])}"
        for path, name in zip(shared, short_names(shared), strict=True)
        if path in group.best.swept
    ]
    least = "most tokens/s" if _mean(group.best, ENERGY_PER_TOKEN) is None else "least J/output token"
    title = f"Side by side{', ' if constants else ''}{', '.join(constants)}: the first has {least}"
    rows = [_row(group.best, members, None)]
    rows += [_row(experiment, members, comparison) for experiment, comparison in group.others[: most - 1]]
    return Table(title, ("experiment", "J/output token", "tokens/s", "median latency"), tuple(rows))


def _row(
    experiment: ExperimentSummary, among: Sequence[ExperimentSummary], comparison: Comparison | None
) -> tuple[str, ...]:
    name = [*name_of(experiment, among), *_standing(experiment)]
    mark = mark_of([comparison]) if comparison else ""
    refused = comparison is not None and comparison.not_compared is not None
    energy = comparison.energy_per_output_token if comparison else None
    speed = comparison.output_tokens_per_s if comparison else None
    cells = [
        [_or_not_measured(experiment, ENERGY_PER_TOKEN), *_against(energy, ENERGY_WORDS, mark, refused)],
        [_or_not_measured(experiment, THROUGHPUT), *_against(speed, SPEED_WORDS, mark, refused)],
    ]
    return tuple("\n".join(lines) for lines in (name, *cells, list(_latency(experiment.metrics))))


def _standing(experiment: ExperimentSummary) -> list[str]:
    """Level and cycles: on one line where that is no wider than another column."""
    level = level_of(experiment.quality, experiment.simulated)
    cycles = f"{experiment.cycles} cycle{'' if experiment.cycles == 1 else 's'}"
    return [level, cycles] if experiment.simulated else [f"{level}, {cycles}"]


def _against(ratio: Ratio | None, words: Words, mark: str, refused: bool) -> Iterator[str]:
    if refused:
        yield "not compared"
    elif ratio is not None and ratio.ratio is not None:
        yield from ratio_lines(ratio, words, mark)


def _or_not_measured(experiment: ExperimentSummary, metric: str) -> str:
    text = measure(experiment.metrics.get(metric))
    return NOT_MEASURED if text == NOTHING else text


def _latency(metrics: Mapping[str, Statistic]) -> Iterator[str]:
    """The medians in milliseconds below a second: mean over the cycles ± half the 95 % interval."""
    for word, metric in LATENCIES.items():
        measured = metrics.get(metric)
        mean = measured.mean if measured else None
        if mean is None:
            yield f"{word} {NOT_MEASURED}"
        else:
            scale, unit = (1000.0, "ms") if mean < 1 else (1.0, "s")
            yield f"{word} {measure(measured, scale, 3)} {unit}"


def _mean(experiment: ExperimentSummary, metric: str) -> float | None:
    measured = experiment.metrics.get(metric)
    return measured.mean if measured else None
