"""What a sensor makes of a board's power, in steps, late, over a window: the twin of src/sensor.c."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from .curve import PowerCurve

_MOST_STEPS_LOOKED_BACK = 100_000
_MASK = (1 << 64) - 1


class SensorKind(IntEnum):
    """Which sensor; its number is part of what its jitter is drawn from."""

    COUNTER = 1
    INSTANT = 2
    AVERAGE = 3


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """A sensor that changes in steps.

    Step k is due at `phase_s + k × period_s` after the epoch, comes up to `jitter_s` earlier or later, and is left out
    with probability `missed`. A step at t knows the power up to `t − lag_s`; a power reading is the mean over the
    `window_s` that ends there.
    """

    period_s: float
    phase_s: float = 0.0
    jitter_s: float = 0.0
    lag_s: float = 0.0
    window_s: float = 0.0
    missed: float = 0.0

    def step_s(self, t_s: float, kind: SensorKind, seed: int) -> float:
        """Time of the last step at or before `t_s`, both counted from the epoch."""
        step = math.floor((t_s - self.phase_s) / self.period_s) + 1
        oldest = step - _MOST_STEPS_LOOKED_BACK
        while step > oldest and (
            self._due_s(step, kind, seed) > t_s or _uniform(seed, 2 * kind + 1, step) < self.missed
        ):
            step -= 1
        return self._due_s(step, kind, seed)

    def _due_s(self, step: int, kind: SensorKind, seed: int) -> float:
        jitter_s = self.jitter_s * (2 * _uniform(seed, 2 * kind, step) - 1)
        return self.phase_s + step * self.period_s + jitter_s

    def mean_w(self, curve: PowerCurve, t_s: float, kind: SensorKind, seed: int) -> float:
        """The mean power that a power reading shows at `t_s`."""
        end_s = self.step_s(t_s, kind, seed) - self.lag_s
        return (curve.energy_j(end_s) - curve.energy_j(end_s - self.window_s)) / self.window_s


def _uniform(seed: int, purpose: int, step: int) -> float:
    """A number in [0, 1) that depends on its arguments alone (the output function of splitmix64)."""
    z = (seed + purpose * 0xD1B54A32D192ED03 + step * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    z ^= z >> 31
    return (z >> 11) / 9007199254740992.0
