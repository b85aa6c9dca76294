"""The comparison's own arithmetic: the grid has every condition, goals are judged, misses are shown."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.bench.accuracy import grid, table
from tests.bench.accuracy.grid import Cell
from tests.bench.accuracy.recording import Score
from tests.bench.accuracy.rivals import Polls
from tests.bench.accuracy.summary import summary
from tests.bench.accuracy.windows import MARGIN_S, Window, plan

CELL = Cell("square", "square 3 s, 50 % on", "Hopper", 15.0, 100, False)


def score(length_s: float = 1.0, **changes: Any) -> Score:
    known: dict[str, Any] = {"ours": 0.001, "holds": True, "half_width": 0.05, "zeus": 0.04}
    return Score(CELL, length_s, **{**known, **changes})


def goal(found: dict[str, Any], words: str) -> dict[str, Any]:
    [one] = [each for each in found["goals"] if words in each["goal"]]
    return dict(one)


def test_claim_7_10_the_full_grid_crosses_every_shape_board_update_and_disturbance() -> None:
    cells = grid.full_grid(random.Random(1))
    assert {cell.group for cell in cells} == {"constant", "square", "ramp", "bursts", "inference"}
    assert len(cells) == len(grid.SHAPES) * len(grid.KINDS) * 3 * 2 == len({replace(cell, lag_ms=0) for cell in cells})
    periods, duties = zip(*grid.SQUARES, strict=True)
    assert (min(periods), max(periods), min(duties), max(duties)) == (0.05, 3.0, 0.1, 0.9)
    assert {cell.update_ms for cell in cells} == {20, 100, 500}
    assert {cell.lag_ms for cell in cells if cell.kind != "unknown family"} == {0, 15, 125}
    unknown = [cell.lag_ms for cell in cells if cell.kind == "unknown family"]
    assert min(unknown) < 15
    assert 135 < max(unknown) <= 150


def test_claim_7_10_the_quick_grid_is_one_recording_with_some_of_everything() -> None:
    cells = grid.quick_grid(random.Random(1))
    assert len(list(grid.batches(cells))) == 1
    assert {(cell.group, cell.kind) for cell in cells} == {
        (group, kind.name) for group, _ in grid.SHAPES.values() for kind in grid.KINDS
    }
    assert {cell.update_ms for cell in cells} == {20, 100, 500}
    assert {cell.disturbed for cell in cells} == {True, False}


@pytest.mark.parametrize("counts", [{0.5: 24, 1.0: 24, 5.0: 6, 30.0: 4}, {1.0: 1}])
def test_windows_lie_within_the_recording_and_only_the_longest_overlap(counts: dict[float, int]) -> None:
    windows = plan(37.0, counts, random.Random(3))
    for window in windows:
        assert window.start_s >= MARGIN_S
        assert window.end_s <= 37.0 - MARGIN_S
    for length_s, count in counts.items():
        one_after_another = [w for w in windows if w.length_s == length_s and not w.overlaps]
        assert 1 <= len(one_after_another) <= count
        for first, second in itertools.pairwise(one_after_another):
            assert first.end_s < second.start_s
    assert {w.length_s for w in windows if w.overlaps} <= {30.0}
    assert all(isinstance(w, Window) for w in windows)


def test_the_trapezoid_is_exact_for_straight_lines_and_edges_between_the_polls() -> None:
    polls = Polls([(0.1 * n, [100.0, 10.0 * 0.1 * n]) for n in range(51)])
    assert polls.energy_j(0, 1.03, 2.58) == pytest.approx(155.0)
    assert polls.energy_j(1, 1.03, 2.58) == pytest.approx(5 * (2.58**2 - 1.03**2))


def test_claim_7_10_goals_that_are_met_are_said_to_be() -> None:
    found = summary([score(), score(30.0, ours=0.0005)])
    assert goal(found, "bounds hold")["met"]
    assert goal(found, "quarter of Zeus's mean error: all boards") == {
        "goal": "at 1 s at most a quarter of Zeus's mean error: all boards",
        "found": "0.025",
        "met": True,
    }
    assert goal(found, "never above")["met"]
    assert goal(found, "0.1 %: Hopper")["met"]
    assert "missed" not in "\n".join(table.markdown({**found}))


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([score(holds=False)], "bounds hold"),
        ([score(), score(ours=None, half_width=None, holds=False, refused="no")], "bounds hold"),
        ([score(ours=0.011)], "quarter of Zeus's mean error: Hopper"),
        ([score(5.0, ours=0.05)], "never above"),
        ([score(30.0, ours=0.0011)], "0.1 %: all boards"),
    ],
)
def test_claim_7_10_where_a_goal_is_missed_the_table_says_so(scores: list[Score], words: str) -> None:
    found = summary(scores)
    assert not goal(found, words)["met"]
    assert any(words in line and "**missed**" in line for line in table.markdown(found))


def test_claim_7_10_every_window_whose_bounds_break_is_named() -> None:
    found = summary([score(), score(holds=False), score(ours=None, half_width=None, refused="no readings")])
    text = "\n".join(table.markdown(found))
    assert "2 windows whose bounds do not hold" in text
    assert "refused: no readings" in text
    assert found["rows"][0]["hold"] == 0.5
    assert found["rows"][0]["refused"] == 1


def test_means_and_worst_are_of_the_tool_that_they_stand_under() -> None:
    parts: list[Callable[[], Score]] = [
        lambda: score(ours=0.01),
        lambda: score(ours=0.03, zeus=0.1),
        lambda: Score(CELL, 1.0, codecarbon=0.2),
        lambda: Score(CELL, 1.0, trapezoid=0.3),
    ]
    row = summary([part() for part in parts])["rows"][0]
    assert (row["windows"], row["ours_mean"], row["ours_worst"]) == (2, pytest.approx(0.02), 0.03)
    assert (row["zeus_mean"], row["zeus_worst"]) == (pytest.approx(0.07), 0.1)
    assert (row["codecarbon_mean"], row["trapezoid_worst"]) == (0.2, 0.3)
    assert row["ratio"] == pytest.approx(0.02 / 0.07)
