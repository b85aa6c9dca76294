"""What the scores of all windows come to: rows of the table, cells where we were not the best, and the goals. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .recording import Score

TOOLS = ("ours", "zeus", "codecarbon", "trapezoid")
QUARTER_AT_S, FINE_AT_S, FINE = 1.0, 30.0, 0.001
CLEARLY = 0.001
"""An error of a tenth of a percent: what is above Zeus by less is hardly worse, and where Zeus has less than that, what
its two looks missed was nearly the same (windows of whole periods of the load, or of the counter)."""

Row = dict[str, Any]

SPLITS: dict[str, Callable[[Score], str]] = {
    "all": lambda score: "all",
    "shape": lambda score: score.cell.group,
    "board": lambda score: score.cell.kind,
    "update period": lambda score: f"{score.cell.update_ms} ms",
    "disturbances": lambda score: "jitter and drop-outs" if score.cell.disturbed else "none",
}


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Everything that the tables show, as plain data. Errors and widths are shares of the true energy."""
    lengths_s = sorted({score.length_s for score in scores})
    rows = [row for split in SPLITS for length_s in lengths_s for row in _rows(split, length_s, scores)]
    cells = _by_cell(scores)
    above = [cell for cell in cells if cell["ours_mean"] > cell["zeus_mean"]]
    above.sort(key=lambda cell: cell["zeus_mean"] - cell["ours_mean"])
    clearly = [cell for cell in above if cell["ours_mean"] > cell["zeus_mean"] + CLEARLY]
    return {
        "rows": rows,
        "cells": len(cells),
        "above_zeus": len(above),
        "above_zeus_clearly": len(clearly),
        "above_zeus_where_it_cancels": sum(cell["zeus_mean"] < CLEARLY for cell in above),
        "above_zeus_by_board": {
            kind: sum(cell["kind"] == kind for cell in above) for kind in sorted({cell["kind"] for cell in cells})
        },
        "worst_above_zeus": above[:10],
        "misses": _misses(scores),
        "goals": _goals(rows, len(above), len(clearly), len(cells)),
    }


def _rows(split: str, length_s: float, scores: Sequence[Score]) -> Iterable[Row]:
    groups: dict[str, list[Score]] = {}
    for score in scores:
        if score.length_s == length_s:
            groups.setdefault(SPLITS[split](score), []).append(score)
    for value, members in sorted(groups.items(), key=lambda item: (len(item[0]), item[0])):
        yield {"split": split, "value": value, "window_s": length_s, **_figures(members)}


def _figures(scores: Sequence[Score]) -> Row:
    judged = [score for score in scores if score.ours is not None or score.refused is not None]
    answered = [score for score in judged if score.half_width is not None]
    found: Row = {
        "windows": len(judged),
        "refused": sum(score.refused is not None for score in judged),
        "hold": sum(score.holds for score in answered) / len(answered) if answered else None,
        "half_width": statistics.median(score.half_width or 0.0 for score in answered) if answered else None,
    }
    for tool in TOOLS:
        errors = [error for score in scores if (error := getattr(score, tool)) is not None]
        found[f"{tool}_mean"] = statistics.fmean(errors) if errors else None
        found[f"{tool}_worst"] = max(errors, default=None)
    both = found["ours_mean"] is not None and found["zeus_mean"]
    found["ratio"] = found["ours_mean"] / found["zeus_mean"] if both else None
    return found


def _by_cell(scores: Sequence[Score]) -> list[Row]:
    groups: dict[tuple[object, float], list[Score]] = {}
    for score in scores:
        if score.ours is not None:
            groups.setdefault((score.cell, score.length_s), []).append(score)
    return [
        {
            "cell": members[0].cell.text(),
            "kind": members[0].cell.kind,
            "window_s": length_s,
            "windows": len(members),
            "ours_mean": statistics.fmean(score.ours or 0.0 for score in members),
            "zeus_mean": statistics.fmean(score.zeus or 0.0 for score in members),
        }
        for (_, length_s), members in groups.items()
    ]


def _misses(scores: Sequence[Score]) -> list[Row]:
    """Windows whose bounds do not hold, or that were refused: there should be none."""
    return [
        {"cell": score.cell.text(), "window_s": score.length_s, "refused": score.refused, "error": score.ours}
        for score in scores
        if score.refused is not None or (score.half_width is not None and not score.holds)
    ]


def _goals(rows: Sequence[Row], above: int, clearly: int, cells: int) -> list[Row]:
    """The goals, what came out, and whether that meets them."""

    def row(split: str, value: str, length_s: float) -> Row | None:
        return next((r for r in rows if (r["split"], r["value"], r["window_s"]) == (split, value, length_s)), None)

    whole = [r for r in rows if r["split"] == "all"]
    held = min((r["hold"] for r in whole if r["hold"] is not None), default=0.0)
    refused = sum(r["refused"] for r in whole)
    goals = [
        _goal("bounds hold in every window, and none is refused", f"{100 * held:.2f} %, {refused} refused",
              held == 1 and not refused)
    ]  # fmt: skip
    kinds = sorted({r["value"] for r in rows if r["split"] == "board"})
    for value in ("all", *kinds):
        found = row("all" if value == "all" else "board", value, QUARTER_AT_S)
        if found and found["ratio"] is not None:
            where = "all boards" if value == "all" else value
            goals.append(
                _goal(f"at 1 s at most a quarter of Zeus's mean error: {where}", f"{found['ratio']:.3f}",
                      found["ratio"] <= 0.25)
            )  # fmt: skip
    goals.append(
        _goal("mean error never above Zeus's in any cell and window",
              f"above in {above} of {cells}, by more than {100 * CLEARLY:g} points in {clearly}", not above)
    )  # fmt: skip
    for value in ("all", *kinds):
        found = row("all" if value == "all" else "board", value, FINE_AT_S)
        if found and found["ours_mean"] is not None:
            where = "all boards" if value == "all" else value
            goals.append(
                _goal(f"at 30 s a mean error of at most 0.1 %: {where}", f"{100 * found['ours_mean']:.3f} %",
                      found["ours_mean"] <= FINE)
            )  # fmt: skip
    return goals


def _goal(goal: str, found: str, met: bool) -> Row:
    return {"goal": goal, "found": found, "met": met}
