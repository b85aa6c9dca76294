"""One recording of many boards: by our recorder and by every rival in the same windows, and how wrong each was."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import simulated_nvml as nvml

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator
from llem_runner.power.recorder import Recorder
from llem_runner.power.series import Series
from llem_runner.power.timeline import Timeline

from .grid import BOARDS_AT_ONCE, DROPPED_POLLS, Cell, board_of
from .rivals import Rivals
from .windows import Measured, Window

PERIOD_S = 0.047
_LEAD_S = 0.2


@dataclass(frozen=True)
class Score:
    """One window of one cell: errors as shares of the true energy (None: the tool measured no such window).

    `holds`: the bounds contain the truth. `half_width`: half of their distance, as a share of the truth. A refusal of
    ours has neither, nor an error.
    """

    cell: Cell
    length_s: float
    refused: str | None = None
    ours: float | None = None
    holds: bool = False
    half_width: float | None = None
    zeus: float | None = None
    codecarbon: float | None = None
    trapezoid: float | None = None


class Bench:
    """The simulated boards, our recorder and the rivals, over any number of recordings."""

    def __init__(self, folder: Path, rivals: Rivals, rng: random.Random) -> None:
        self._folder, self._rivals, self._rng = folder, rivals, rng
        self._recordings = 0

    @staticmethod
    def prepare(folder: Path) -> None:
        """Put a first set of boards in force for this process and its children. Raises LibraryNotBuilt."""
        config = folder / "nvml.conf"
        nvml.Settings(boards=tuple(nvml.h100(number) for number in range(BOARDS_AT_ONCE))).write(config)
        os.environ.update(nvml.simulated_environment(config))

    def record(self, cells: Sequence[Cell], windows: Sequence[Window], recording_s: float) -> list[Score]:
        """Record the cells, all at once, and score every window of each."""
        self._recordings += 1
        boards = tuple(board_of(cell, number, self._rng) for number, cell in enumerate(cells))
        # Those that are left over are there all the same: the rivals have found all of them at their start.
        spare = tuple(nvml.h100(number) for number in range(len(cells), BOARDS_AT_ONCE))
        settings = nvml.Settings(boards=boards + spare)
        settings.write(self._folder / "nvml.conf")
        path = self._folder / f"power-{self._recordings}.csv"
        offset_s = time.time() - time.monotonic()
        with Recorder.start(path, [board.uuid for board in boards], PERIOD_S, offset_s) as recorder:
            start_s = time.monotonic() + _LEAD_S
            self._rivals.begin(windows, start_s)
            for edge_s in sorted(edge_s for window in windows for edge_s in (window.start_s, window.end_s)):
                _wait_until(start_s + edge_s)
                # As the runner does at the edges of what it measures.
                recorder.sample()
                recorder.check()
            _wait_until(start_s + recording_s)
            recorder.check()
        zeus, codecarbon, polls = self._rivals.answers()
        devices = Timeline.read(path).devices
        path.unlink()
        scores: list[Score] = []
        for number, (cell, board) in enumerate(zip(cells, boards, strict=True)):
            truth = settings.truth(board.uuid)

            def truth_j(from_s: float, to_s: float, truth: nvml.Truth = truth) -> float:
                return truth.energy_j(from_s + offset_s, to_s + offset_s)

            series = devices[board.uuid]
            if cell.disturbed:
                series = with_dropped_polls(series, DROPPED_POLLS, self._rng)
            estimator = Estimator(series, board_facts(board.name))
            scores += scored(cell, number, estimator, truth_j, zeus)
            scores += [_codecarbon_score(cell, number, truth_j, measured) for measured in codecarbon]
            for measured in zeus:
                true_j = truth_j(measured.start_s, measured.end_s)
                found_j = polls.energy_j(number, measured.start_s, measured.end_s)
                scores.append(Score(cell, measured.length_s, trapezoid=abs(found_j - true_j) / true_j))
        return scores


def scored(
    cell: Cell,
    number: int,
    estimator: Estimator,
    truth_j: Callable[[float, float], float],
    windows: Sequence[Measured],
) -> Iterator[Score]:
    """Ours and Zeus's of each window, at the moments at which Zeus looked."""
    for window in windows:
        true_j = truth_j(window.start_s, window.end_s)
        zeus = abs(window.boards_j[number] - true_j) / true_j
        found = estimator.energy(window.start_s, window.end_s)
        if found.total_j is None or found.lower_j is None or found.upper_j is None:
            yield Score(cell, window.length_s, refused=found.refusal, zeus=zeus)
            continue
        yield Score(
            cell,
            window.length_s,
            ours=abs(found.total_j - true_j) / true_j,
            holds=found.lower_j <= true_j <= found.upper_j,
            half_width=(found.upper_j - found.lower_j) / 2 / true_j,
            zeus=zeus,
        )


def with_dropped_polls(series: Series, share: float, rng: random.Random) -> Series:
    """The same readings without some rows, as a machine that is out of breath leaves them."""
    return series.rows([row for row in range(len(series)) if rng.random() >= share])


def _wait_until(moment_s: float) -> None:
    time.sleep(max(0.0, moment_s - time.monotonic()))


def _codecarbon_score(cell: Cell, number: int, truth_j: Callable[[float, float], float], measured: Measured) -> Score:
    true_j = truth_j(measured.start_s, measured.end_s)
    return Score(cell, measured.length_s, codecarbon=abs(measured.boards_j[number] - true_j) / true_j)
