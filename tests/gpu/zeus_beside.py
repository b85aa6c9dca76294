"""Our windows and Zeus's, of the same moments, against what the load's own times say."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.accuracy.rivals import Rival
from tests.bench.accuracy.windows import MARGIN_S, Measured, Window, plan

from llem_runner.power.boards import BoardFacts
from llem_runner.power.estimate import Estimator
from llem_runner.power.series import Series

from .activity import Activity
from .characterise import CounterFound, reference_j

WINDOWS = {0.5: 20, 1.0: 16, 5.0: 4}
REFERENCE_ERROR = 0.01
"""How far the reference may be off: the load's power is not quite steady."""


@dataclass(frozen=True)
class Beside:
    """One window: the reference in joule, Zeus's error, ours and half the width of our bounds as shares of it."""

    length_s: float
    reference_j: float
    zeus: float
    ours: float
    half_width: float
    holds: bool


class ZeusBeside:
    """Zeus in a process of its own, looking at board number `index`. Raises RivalMissing where it is not installed."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._home = TemporaryDirectory(prefix="llem-test-gpu-zeus-")
        self._zeus = Rival("zeus", index + 1, _environment(), Path(self._home.name) / "zeus.log")
        try:
            self._zeus.wait_until_ready()
        except BaseException:
            self.close()
            raise

    def begin(self, start_s: float, duration_s: float, rng: random.Random) -> None:
        """Measure windows of all lengths, from `start_s` on for `duration_s`."""
        self._windows: list[Window] = plan(duration_s, _that_fit(duration_s), rng)
        self._zeus.begin([(start_s + window.start_s, start_s + window.end_s) for window in self._windows])

    def answer(self) -> list[Measured]:
        """What Zeus said of this board."""
        return [
            Measured(window.length_s, start_s, end_s, (boards_j[self._index],))
            for window, (start_s, end_s, boards_j) in zip(self._windows, self._zeus.answer(), strict=True)
        ]

    def close(self) -> None:
        """End it."""
        self._zeus.close()
        self._home.cleanup()


def compared(
    measured: Sequence[Measured], series: Series, facts: BoardFacts, counter: CounterFound, activity: Activity
) -> list[Beside]:
    """Every window by the reference, by Zeus and by us. A window that we refuse has no bounds that hold."""
    estimator = Estimator(series, facts)
    found = []
    for window in measured:
        true_j = reference_j(counter, activity, window.start_s, window.end_s)
        ours = estimator.energy(window.start_s, window.end_s)
        lower_j, upper_j = ours.lower_j or 0.0, ours.upper_j or 0.0
        found.append(
            Beside(
                window.length_s,
                true_j,
                zeus=abs(window.boards_j[0] - true_j) / true_j,
                ours=abs((ours.total_j or 0.0) - true_j) / true_j,
                half_width=(upper_j - lower_j) / 2 / true_j,
                holds=lower_j <= (1 + REFERENCE_ERROR) * true_j and upper_j >= (1 - REFERENCE_ERROR) * true_j,
            )
        )
    return found


def _environment() -> dict[str, str]:
    """Without CUDA's choice of boards: Zeus would count within it, and the number is NVML's."""
    return {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}


def _that_fit(duration_s: float) -> dict[float, int]:
    return {length_s: count for length_s, count in WINDOWS.items() if length_s + 0.2 < duration_s - 2 * MARGIN_S}
