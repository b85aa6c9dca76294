"""The most likely time of each counter step: by its bracket, and by the rhythm that the steps around it keep. Pure."""

from __future__ import annotations

from llem_runner.power.fast import FastRhythms
from llem_runner.power.phase import BLOCK_STEPS, Rhythms

TYPICAL_STEP_S = 0.1
"""The period of most boards' counters, where the readings are too few to tell this one's."""


class StepTimes:
    """The most likely time of each step."""

    def __init__(self, rhythms: Rhythms) -> None:
        self._rhythms = rhythms
        self._fast = FastRhythms(rhythms.steps)

    @property
    def hidden_period_s(self) -> float | None:
        """The period of a counter that steps more often than it is read; None of any other."""
        return self._fast.period_s

    def at(self, step: int) -> float:
        """The most likely time of `step`, always inside its bracket."""
        steps, block = self._rhythms.steps, step // BLOCK_STEPS
        earliest_s, latest_s = steps.earliest_s[step], steps.latest_s[step]
        rhythm = self._rhythms.of(block)
        if rhythm is None and (fast := self._fast.of(block)) is not None:
            return max(fast.last_by(latest_s), earliest_s)
        # A bracket longer than a period (a drop-out) holds several steps; what the poll saw is the last of them.
        period_s = rhythm.period_s if rhythm else self._fast.period_s or TYPICAL_STEP_S
        likely_s = max((earliest_s + latest_s) / 2, latest_s - period_s / 2)
        if rhythm is None:
            return likely_s
        return min(max(rhythm.nearest(likely_s), earliest_s), latest_s)
