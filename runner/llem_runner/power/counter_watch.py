"""A broken energy counter, noticed while it is recorded: a run with one is ended, not carried on for hours. Pure.

The estimator finds the same in any timeline afterwards (`steps.find_breaks`), and refuses the spans it touches.
"""

from __future__ import annotations

from llem_runner.power.outcomes import GpuLost
from llem_runner.power.readings import Reading
from llem_runner.power.steps import wrong_step

STANDSTILL_S = 5.0
"""No counter is known to step more slowly than every half second: ten times that, under power, is no pause."""
_DRAWS_W = 1.0


class CounterWatch:
    """Looks at one board's readings in their order. A board without a counter has nothing to break."""

    def __init__(self) -> None:
        self._counter_mj: int | None = None
        self._since_s = 0.0
        self._seen_s = 0.0
        self._drew_power = False

    def look(self, reading: Reading) -> None:
        """Raises GpuLost where the counter went backwards, jumped, or stands still although the GPU draws power."""
        counter_mj = reading.counter_mj
        if counter_mj is None:
            return
        if counter_mj == self._counter_mj:
            self._standing(reading)
        else:
            if self._counter_mj is not None:
                self._stepped(self._counter_mj, counter_mj, reading)
            self._counter_mj, self._since_s, self._drew_power = counter_mj, reading.after_s, False
        self._seen_s = reading.before_s

    def _stepped(self, held_mj: int, counter_mj: int, reading: Reading) -> None:
        for broken in wrong_step(held_mj, counter_mj, self._seen_s, reading.after_s):
            raise _lost(reading, broken.reason)

    def _standing(self, reading: Reading) -> None:
        powers_w = (reading.power_instant_w, reading.power_w, reading.power_average_w)
        self._drew_power = self._drew_power or any(power_w is not None and power_w > _DRAWS_W for power_w in powers_w)
        still_s = reading.before_s - self._since_s
        if self._drew_power and still_s > STANDSTILL_S:
            raise _lost(reading, f"the energy counter stood still for {still_s:.1f} s although the GPU drew power")


def _lost(reading: Reading, reason: str) -> GpuLost:
    return GpuLost(f"GPU {reading.uuid}: {reason}.")
