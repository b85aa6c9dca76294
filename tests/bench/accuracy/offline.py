"""The comparison without real time: the same cells, windows and scores, in this process and without the tools.

What takes a clock is computed: the moments of the recorder's polls from its period, and Zeus, which is the difference
of the counter between its two looks. Good for seeing within minutes what a change of the estimator does to every cell.
The page is made from the real comparison.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import simulated_nvml as nvml

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator
from llem_runner.power.recorder_process import ASKED_EVERY_S
from llem_runner.power.series import Series

from .grid import DROPPED_POLLS, Cell, batches, board_of
from .recording import PERIOD_S, Score, scored, with_dropped_polls
from .windows import Measured, plan

EPOCH_UNIX_S = nvml.DEFAULT_EPOCH_UNIX_S + 1000
"""When every recording begins, in realtime."""
_POLL_LATE_S, _LOOK_LATE_S = 0.0005, 0.003
"""How late a poll comes at most; and a look of a tool that sleeps until then, and reads many boards in turn."""
_CALL_S = 0.00005


class Looks(NamedTuple):
    """A window as it was measured: its length as planned, and the moments at which the tools looked."""

    length_s: float
    start_s: float
    end_s: float


def measure(cells: Sequence[Cell], recording_s: float, counts: dict[float, int], rng: random.Random) -> Iterator[Score]:
    """Scores of ours and Zeus's for every window of every cell; the windows are those of the cell's batch."""
    for batch in batches(cells):
        looks = looks_at(recording_s, counts, rng)
        for cell in batch:
            yield from _scores(cell, looks, recording_s, rng)


def looks_at(recording_s: float, counts: dict[float, int], rng: random.Random) -> list[Looks]:
    """Windows as planned for the real comparison, and as tools come to them."""

    def late(moment_s: float) -> float:
        return moment_s + rng.uniform(0, _LOOK_LATE_S)

    return [Looks(w.length_s, late(w.start_s), late(w.end_s)) for w in plan(recording_s, counts, rng)]


def recorded(truth: nvml.Truth, looks: Sequence[Looks], recording_s: float, rng: random.Random) -> Series:
    """What the recorder writes of one board."""
    series, ready_s = Series(truth.board.uuid), 0.0
    for due_s in _due(looks, recording_s):
        read_s = max(ready_s, due_s + rng.uniform(0, _POLL_LATE_S))
        ready_s = read_s + _CALL_S
        unix_s = EPOCH_UNIX_S + read_s
        instant_w, average_w = truth.power_instant_mw(unix_s) / 1000, truth.power_average_mw(unix_s) / 1000
        series.append(
            read_s - _CALL_S / 2,
            read_s + _CALL_S / 2,
            counter_mj=truth.counter_mj(unix_s),
            power_w=instant_w if truth.board.power_usage == "instant" else average_w,
            power_average_w=average_w,
            power_instant_w=instant_w,
        )
    return series


def zeus(truth: nvml.Truth, looks: Looks) -> Measured:
    """What Zeus says of one board: what its counter gained between two looks."""
    start_mj, end_mj = (truth.counter_mj(EPOCH_UNIX_S + look_s) for look_s in (looks.start_s, looks.end_s))
    return Measured(looks.length_s, looks.start_s, looks.end_s, ((end_mj - start_mj) / 1000,))


def _scores(cell: Cell, looks: Sequence[Looks], recording_s: float, rng: random.Random) -> Iterator[Score]:
    board = board_of(cell, 0, rng)
    truth = nvml.Settings(boards=(board,)).truth(board.uuid)

    def truth_j(from_s: float, to_s: float) -> float:
        return truth.energy_j(EPOCH_UNIX_S + from_s, EPOCH_UNIX_S + to_s)

    series = recorded(truth, looks, recording_s, rng)
    if cell.disturbed:
        series = with_dropped_polls(series, DROPPED_POLLS, rng)
    estimator = Estimator(series, board_facts(board.name))
    yield from scored(cell, 0, estimator, truth_j, [zeus(truth, each) for each in looks])


def _due(looks: Sequence[Looks], recording_s: float) -> list[float]:
    """When the recorder reads: evenly, and at the edges of windows, as far as it lets itself be asked."""
    ticks = [tick * PERIOD_S for tick in range(round(recording_s / PERIOD_S))]
    asked: list[float] = []
    for edge_s in sorted(look_s for each in looks for look_s in (each.start_s, each.end_s)):
        if not asked or edge_s - asked[-1] >= ASKED_EVERY_S:
            asked.append(edge_s)
    return sorted([*ticks, *asked])
