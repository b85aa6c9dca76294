"""What each single change does, all else equal: one row a change, over all experiments in which it was made. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llem.results.cells import Table, cell, short_names
from llem.results.comparison import Comparison, Ratio
from llem.results.ratio_text import ENERGY_WORDS, SPEED_WORDS, Words, inverted, mark_of, range_lines, ratio_lines
from llem.results.study_result import StudyResult

MOST_ROWS = 12


@dataclass(frozen=True)
class Change:
    """A change of one swept path, and the comparisons of pairs that differ by it, each turned to this direction."""

    path: str
    before: str
    after: str
    comparisons: tuple[Comparison, ...]

    @property
    def name(self) -> str:
        """In the path's last word: `precision bf16 → fp16`."""
        return f"{short_names([self.path])[0]} {self.before} → {self.after}"


def changes(study: StudyResult) -> list[Change]:
    """The changes of a study in the order in which they are written."""
    place = {each.experiment_id: index for index, each in enumerate(study.experiments)}
    found: dict[tuple[str, str, str], list[Comparison]] = {}
    for each in study.comparisons:
        both_there = {each.reference_id, each.experiment_id} <= place.keys()
        if not (both_there and each.changed and "one_change" in each.kinds):
            continue
        turned = each if place[each.reference_id] < place[each.experiment_id] else _turned(each)
        path = "backend" if "backend" in turned.changed else next(iter(turned.changed))
        before, after = map(cell, turned.changed[path])
        found.setdefault((path, before, after), []).append(turned)
    paths = list(dict.fromkeys(path for each in study.experiments for path in each.swept))
    made = [Change(*change, tuple(comparisons)) for change, comparisons in found.items() if change[0] in paths]
    return sorted(made, key=lambda change: (paths.index(change.path), place[change.comparisons[0].experiment_id]))


def change_table(study: StudyResult) -> tuple[Table | None, int]:
    """The table, and how many changes it leaves out; None where side by side stands all of it."""
    found = changes(study)
    compared = [change for change in found if any(each.not_compared is None for each in change.comparisons)]
    if all("best" in each.kinds for change in compared for each in change.comparisons):
        return None, 0
    # A path's first change before the second of any: each of the paths is there.
    ranked = sorted(compared, key=lambda change: _rank(change, compared))[:MOST_ROWS]
    rows = tuple(_row(change) for change in compared if change in ranked)
    headers = ("change", "pairs", "J/output token", "tokens/s")
    return Table("One change, all else equal: × is after over before", headers, rows), len(compared) - len(rows)


def _turned(comparison: Comparison) -> Comparison:
    energy, speed = comparison.energy_per_output_token, comparison.output_tokens_per_s
    return comparison.model_copy(
        update={
            "reference_id": comparison.experiment_id,
            "experiment_id": comparison.reference_id,
            "changed": {path: (after, before) for path, (before, after) in comparison.changed.items()},
            "energy_per_output_token": energy and inverted(energy),
            "output_tokens_per_s": speed and inverted(speed),
        }
    )


def _rank(change: Change, among: Sequence[Change]) -> int:
    return [each for each in among if each.path == change.path].index(change)


def _row(change: Change) -> tuple[str, ...]:
    compared = [each for each in change.comparisons if each.not_compared is None]
    mark = mark_of(compared)
    energy = [each.energy_per_output_token for each in compared]
    speed = [each.output_tokens_per_s for each in compared]
    cells = (_cell(energy, ENERGY_WORDS, mark), _cell(speed, SPEED_WORDS, mark))
    return (change.name, str(len(compared)), *cells)


def _cell(ratios: Sequence[Ratio | None], words: Words, mark: str) -> str:
    known = [ratio for ratio in ratios if ratio is not None]
    return "\n".join(ratio_lines(known[0], words, mark) if len(known) == 1 else range_lines(known, words, mark))
