"""The comparison as tables: for the terminal and, the same, for docs/validation.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

_TITLES = ("window", "windows", "llem", "worst", "bounds hold", "half-width", "Zeus", "worst", "CodeCarbon", "worst",
           "trapezoid", "worst", "llem / Zeus")  # fmt: skip


def markdown(summary: dict[str, Any]) -> Iterator[str]:
    """All tables, in percent of the true energy, as lines of Markdown."""
    yield from _goals(summary["goals"])
    for split in dict.fromkeys(row["split"] for row in summary["rows"]):
        rows = [row for row in summary["rows"] if row["split"] == split]
        yield ""
        yield f"| {'' if split == 'all' else split} | {' | '.join(_TITLES)} |"
        yield f"|---|{'---:|' * len(_TITLES)}"
        yield from (_row(row) for row in rows)
    yield from _above(summary)
    if summary["misses"]:
        yield from ("", f"**{len(summary['misses'])} windows whose bounds do not hold, or that were refused:**", "")
        for miss in summary["misses"][:20]:
            why = f"refused: {miss['refused']}" if miss["refused"] else f"error {_percent(miss['error'])} %"
            yield f"- {miss['window_s']:g} s, {miss['cell']}: {why}"


def _goals(goals: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "| goal | found | |"
    yield "|---|---|---|"
    for goal in goals:
        yield f"| {goal['goal']} | {goal['found']} | {'met' if goal['met'] else '**missed**'} |"


def _row(row: dict[str, Any]) -> str:
    hold = "–" if row["hold"] is None else f"{100 * row['hold']:.2f} %".replace("100.00", "100")
    figures = [_percent(row["ours_mean"]), _percent(row["ours_worst"]), hold, _percent(row["half_width"])]
    for tool in ("zeus", "codecarbon", "trapezoid"):
        figures += [_percent(row[f"{tool}_mean"]), _percent(row[f"{tool}_worst"])]
    ratio = "–" if row["ratio"] is None else f"{row['ratio']:.3f}"
    return f"| {row['value']} | {row['window_s']:g} s | {row['windows']} | {' | '.join(figures)} | {ratio} |"


def _above(summary: dict[str, Any]) -> Iterator[str]:
    if not summary["above_zeus"]:
        return
    boards = ", ".join(f"{kind} {count}" for kind, count in summary["above_zeus_by_board"].items())
    yield ""
    yield textwrap.fill(
        f"In {summary['above_zeus']} of {summary['cells']} cells (conditions × window length) the mean error was above "
        f"Zeus's ({boards}). {_how_far(summary)}The farthest above:",
        width=116,
    )
    yield ""
    yield "| window | cell | windows | llem | Zeus |"
    yield "|---:|---|---:|---:|---:|"
    for cell in summary["worst_above_zeus"]:
        errors = f"{_percent(cell['ours_mean'])} | {_percent(cell['zeus_mean'])}"
        yield f"| {cell['window_s']:g} s | {cell['cell']} | {cell['windows']} | {errors} |"


def _how_far(summary: dict[str, Any]) -> str:
    """How many of the cells above Zeus are so by a hair, and in how many its errors cancel; nothing of an old run."""
    if "above_zeus_clearly" not in summary:
        return ""
    return (
        f"In {summary['above_zeus_clearly']} of them it was so by more than 0.1 points. In "
        f"{summary['above_zeus_where_it_cancels']}, Zeus's own error was under 0.1 %: where a window holds a whole "
        "number of the load's or the counter's periods, what a late counter misses at the start it gets at the end. "
    )


def _percent(share: float | None) -> str:
    """Three significant digits, without exponents."""
    if share is None:
        return "–"
    percent = 100 * share
    digits = 1 if percent >= 10 else 2 if percent >= 1 else 3
    return f"{percent:.{digits}f}"
