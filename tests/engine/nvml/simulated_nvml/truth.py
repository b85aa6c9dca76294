"""The exact truth about a simulated board, and the readings that follow from it: the twin of src/readings.c."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from .board import Board
from .curve import PowerCurve
from .sensor import SensorKind


@dataclass(frozen=True)
class Truth:
    """One board's power, energy and readings as functions of CLOCK_REALTIME.

    Moments are Unix times in seconds, taken to the nearest microsecond: that is the library's own clock, and a float
    carries it exactly. Power and energy are the truth, without `gain`; readings have it.
    """

    board: Board
    epoch_unix_s: int

    @cached_property
    def _curve(self) -> PowerCurve:
        return PowerCurve(self.board.idle_w, tuple(shape.component() for shape in self.board.power))

    def _since_epoch_s(self, unix_s: float) -> float:
        return (round(unix_s * 1e6) - self.epoch_unix_s * 1_000_000) / 1e6

    def power_w(self, unix_s: float) -> float:
        """The power at a moment."""
        return self._curve.power_w(self._since_epoch_s(unix_s))

    def energy_j(self, start_unix_s: float, end_unix_s: float) -> float:
        """The energy between two moments: the exact integral of the power."""
        return self._curve.energy_j(self._since_epoch_s(end_unix_s)) - self._curve.energy_j(
            self._since_epoch_s(start_unix_s)
        )

    def counter_mj(self, unix_s: float, *, module: bool = False) -> int:
        """The counter as it reads at a moment, of the GPU or of its module."""
        board = self.board
        frozen_s = board.counter_frozen_at_unix_s - self.epoch_unix_s
        reset_s = board.counter_reset_at_unix_s - self.epoch_unix_s
        at_s = min(self._since_epoch_s(unix_s), frozen_s)
        step_s = board.counter.step_s(at_s, SensorKind.COUNTER, board.seed)
        reset = step_s >= reset_s
        from_s, to_s = (reset_s if reset else 0.0), step_s - board.counter.lag_s
        energy_j = self._curve.energy_j(to_s) - self._curve.energy_j(from_s)
        if module:
            energy_j += board.module_extra_w * (to_s - from_s)
        return _nearest(board.gain * energy_j * 1000 + (0 if reset else board.counter_offset_mj))

    def power_instant_mw(self, unix_s: float, *, module: bool = False) -> int:
        """The instant power reading at a moment."""
        return self._power_mw(unix_s, SensorKind.INSTANT, module)

    def power_average_mw(self, unix_s: float, *, module: bool = False) -> int:
        """The averaged power reading at a moment."""
        return self._power_mw(unix_s, SensorKind.AVERAGE, module)

    def _power_mw(self, unix_s: float, kind: SensorKind, module: bool) -> int:
        sensor = self.board.instant if kind is SensorKind.INSTANT else self.board.average
        mean_w = sensor.mean_w(self._curve, self._since_epoch_s(unix_s), kind, self.board.seed)
        return _nearest(self.board.gain * (mean_w + (self.board.module_extra_w if module else 0)) * 1000)


def _nearest(value: float) -> int:
    return math.floor(value + 0.5) if value > 0 else 0
