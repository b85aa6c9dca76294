"""A board's gain: what its sensor shows of the truth, as somebody with a better meter found out. Pure.

reading = factor × truth         joules and watts are divided by the factor; what is left of the board's own error
                                 is the factor's uncertainty, which stays beside the bounds, never inside them
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llem_runner.power.estimate import SYSTEMATIC_PERCENT, SpanEnergy


@dataclass(frozen=True)
class Gain:
    """`factor` with its uncertainty; without a calibration 1, and the gain error that boards are known to have."""

    factor: float = 1.0
    uncertainty_percent: float = SYSTEMATIC_PERCENT
    source: str | None = None

    def applied(self, found: SpanEnergy) -> SpanEnergy:
        """The same span in true joules and watts."""
        return replace(
            found,
            total_j=self._true(found.total_j),
            lower_j=self._true(found.lower_j),
            upper_j=self._true(found.upper_j),
            cross_check_j=self._true(found.cross_check_j),
            mean_power_w=self._true(found.mean_power_w),
            peak_power_w=self._true(found.peak_power_w),
        )

    def _true(self, reading: float | None) -> float | None:
        return None if reading is None else reading / self.factor


UNCALIBRATED = Gain()
