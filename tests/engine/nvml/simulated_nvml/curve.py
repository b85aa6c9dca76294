"""Power over time as an idle floor plus periodic curves of straight pieces: the twin of src/power_curve.c."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Piece(NamedTuple):
    """A straight piece of a curve: how long, and from what power to what."""

    duration_s: float
    from_w: float
    to_w: float


class _Placed(NamedTuple):
    piece: Piece
    start_s: float
    start_j: float


@dataclass(frozen=True)
class Component:
    """One periodic curve; its first period begins `phase_s` after the epoch."""

    pieces: tuple[_Placed, ...]
    phase_s: float
    period_s: float
    period_j: float

    @classmethod
    def of(cls, pieces: Sequence[Piece], phase_s: float) -> Component:
        """Place the pieces one after another. The order of the sums is that of the C, so that the bits agree."""
        placed: list[_Placed] = []
        period_s = period_j = 0.0
        for piece in pieces:
            if piece.duration_s == 0:
                continue
            placed.append(_Placed(piece, period_s, period_j))
            period_s += piece.duration_s
            period_j += piece.duration_s * (piece.from_w + piece.to_w) / 2
        return cls(tuple(placed), phase_s, period_s, period_j)

    def _find(self, t_s: float) -> tuple[float, _Placed, float]:
        since_phase_s = t_s - self.phase_s
        periods = math.floor(since_phase_s / self.period_s)
        within_s = since_phase_s - periods * self.period_s
        found = self.pieces[0]
        for placed in self.pieces[1:]:
            if placed.start_s > within_s:
                break
            found = placed
        return periods, found, within_s - found.start_s

    def energy_j(self, t_s: float) -> float:
        """Integral of the power up to a constant; `t_s` counts from the epoch."""
        periods, (piece, _, start_j), d = self._find(t_s)
        slope_w_per_s = (piece.to_w - piece.from_w) / piece.duration_s
        return periods * self.period_j + start_j + d * (piece.from_w + slope_w_per_s * d / 2)

    def power_w(self, t_s: float) -> float:
        """Power at a moment; `t_s` counts from the epoch."""
        _, (piece, _, _), d = self._find(t_s)
        return piece.from_w + (piece.to_w - piece.from_w) * d / piece.duration_s


@dataclass(frozen=True)
class PowerCurve:
    """The power of a board."""

    idle_w: float
    components: tuple[Component, ...]

    def energy_j(self, t_s: float) -> float:
        """Integral of the power up to a constant: only differences mean something."""
        energy_j = self.idle_w * t_s
        for component in self.components:
            energy_j += component.energy_j(t_s)
        return energy_j

    def power_w(self, t_s: float) -> float:
        """Power at a moment."""
        return self.idle_w + sum(component.power_w(t_s) for component in self.components)
