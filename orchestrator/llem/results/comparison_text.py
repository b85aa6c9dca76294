"""The comparisons of a study as they are shown at its end: tables, and what has to be said below them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from llem.printable import printable
from llem.results.cells import Table
from llem.results.change_table import change_table, changes
from llem.results.comparison import Ratio
from llem.results.side_by_side import groups, name_of, side_by_side
from llem.results.study_result import StudyResult

MOST_REASONS = 6
_WHY_NO_LATENCY = ("first_token_time_unknown", "token_times_unknown")


@dataclass(frozen=True)
class ComparisonText:
    """Tables in their order, and notes."""

    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


def comparison_text(study: StudyResult) -> ComparisonText:
    """What is shown of `study.comparisons`; nothing where there are none."""
    if not study.comparisons:
        return ComparisonText()
    tables, experiments_left = side_by_side(study)
    table, changes_left = change_table(study)
    shown = (*tables, *([table] if table else ()))
    left_out = [f"{experiments_left} more experiments"] if experiments_left else []
    left_out += [f"{changes_left} more changes"] if changes_left else []
    return ComparisonText(shown, tuple(_notes(study, shown, left_out)))


def _notes(study: StudyResult, shown: tuple[Table, ...], left_out: list[str]) -> Iterator[str]:
    if left_out:
        yield f"Left out here, and in study_result.json (comparisons): {', '.join(left_out)}"
    if shown:
        yield from _how_to_read(study)
    for note, count in Counter(note for each in study.comparisons for note in each.notes).items():
        yield f"In {count} of {len(study.comparisons)} comparisons: {note}"
    yield from _no_latency(study)
    refused = list(_refused(study).items())
    for (what, reason), count in refused[:MOST_REASONS]:
        yield f"Not compared: {what}{f' ({count} pairs)' if count > 1 else ''}: {reason}"
    if len(refused) > MOST_REASONS:
        yield f"Not compared for {len(refused) - MOST_REASONS} more reasons: study_result.json (comparisons) has them"


def _how_to_read(study: StudyResult) -> Iterator[str]:
    ratios = [
        ratio
        for each in study.comparisons
        for ratio in (each.energy_per_output_token, each.output_tokens_per_s)
        if ratio
    ]
    tested = [ratio for ratio in ratios if ratio.p_holm is not None]
    if tested:
        yield (
            "× is the ratio to the first row, [ ] its 95 % interval over the cycles that both have. A difference is "
            f"named where a paired t-test finds it at 5 %{_corrected(tested[0].family)}"
        )
    unnamed = [ratio for ratio in tested if ratio.verdict == "not_distinguishable" and _leaves_1_out(ratio)]
    if unnamed:
        yield (
            f"{len(unnamed)} of {len(tested)} intervals leave 1 out and yet no difference is named: of so many pairs "
            "some do by chance. More cycles tell them apart (execution.n_cycles: 5 or more)"
        )
    yield "Latency: median time to the first token, from one to the next, and of a whole request"


def _corrected(family: int) -> str:
    """What is said of Holm's correction; of a single pair there is nothing to correct."""
    return f", corrected by Holm's method for all {family} pairs that could have been compared" if family > 1 else ""


def _leaves_1_out(ratio: Ratio) -> bool:
    return (
        ratio.ci95_lower is not None and ratio.ci95_upper is not None and not ratio.ci95_lower <= 1 <= ratio.ci95_upper
    )


def _no_latency(study: StudyResult) -> Iterator[str]:
    """Why a latency is n/a: what the runs were warned of."""
    reasons = Counter(
        (result.backend, printable(warning.message, 200).rstrip("."))
        for result in study.results
        for warning in result.warnings
        if warning.code in _WHY_NO_LATENCY
    )
    for (backend, message), count in reasons.items():
        yield f"n/a in {count} runs of {backend}: {message}"


def _refused(study: StudyResult) -> Counter[tuple[str, str]]:
    """What is not compared and why → in how many pairs."""
    found: Counter[tuple[str, str]] = Counter()
    for change in changes(study):
        found.update((change.name, each.not_compared) for each in change.comparisons if each.not_compared)
    for group in groups(study):
        for experiment, comparison in group.others:
            if comparison.not_compared and "one_change" not in comparison.kinds:
                found[", ".join(name_of(experiment, group.members)), comparison.not_compared] += 1
    return found
