"""The ratio of two experiments' values over the cycles that both have, and how sure it is. Pure.

Cycle by cycle the logarithm of the ratio is taken; their mean (the geometric mean of the ratios) is the estimate. What
disturbs a whole cycle, a warm room or a slow clock, is in both values and drops out.

Of each cycle an interval is known that holds the true logarithm, whatever the sensor did: `lower` to `upper`. The true
mean is at least the mean of the lower ends and at most that of the upper ends, so its confidence interval goes from
Student's lower limit for the one to Student's upper limit for the other. Where bounds are points this is Student's
interval of the paired differences, and the test is the paired t-test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llem.results.statistics import Statistic, p_of_zero, statistic

# Measured values never agree so well, relative: what does was copied, or counted.
_NO_SCATTER = 1e-9
# Of two cycles that differ absurdly the interval would end beyond what is a floating-point number.
_LARGEST_LOG = 700.0


@dataclass(frozen=True)
class LogRatio:
    """ln(value / reference value) of one cycle, and the bounds that hold the true one."""

    measured: float
    lower: float
    upper: float


@dataclass(frozen=True)
class PairedRatio:
    """value / reference value, its two-sided 95 % interval, and p of the test that it is 1.

    Interval and p are None where the cycles cannot tell how they scatter: one cycle, or cycles without bounds that
    agree to the digit.
    """

    ratio: float
    lower: float | None = None
    upper: float | None = None
    p_value: float | None = None


def paired_ratio(cycles: Sequence[LogRatio]) -> PairedRatio:
    """The ratio over `cycles` (at least one), with k − 1 degrees of freedom for k cycles.

    p is that of whichever mean bound is nearer to 1, and 1 where 1 lies between them.
    """
    measured, lower, upper = (
        statistic([getattr(cycle, name) for cycle in cycles]) for name in ("measured", "lower", "upper")
    )
    ratio = _ratio(_mean(measured))
    if len(cycles) == 1 or not _tells(cycles):
        return PairedRatio(ratio)
    p_value: float | None = 1.0
    if _mean(lower) > 0:
        p_value = p_of_zero(lower)
    elif _mean(upper) < 0:
        p_value = p_of_zero(upper)
    lowest, highest = _mean(lower) - _half_width(lower), _mean(upper) + _half_width(upper)
    return PairedRatio(ratio, _ratio(lowest), _ratio(highest), p_value)


def holm(p_values: Sequence[float], family: int) -> list[float]:
    """p adjusted by Holm (1979) for a family of `family` tests of which these were made; in the order given.

    The others count as tests that do not reject, so that the adjusted values hold whichever of the family were made.
    """
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (family - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _tells(cycles: Sequence[LogRatio]) -> bool:
    measured = [cycle.measured for cycle in cycles]
    bounded = any(cycle.upper - cycle.lower > _NO_SCATTER for cycle in cycles)
    return bounded or max(measured) - min(measured) > _NO_SCATTER


def _mean(of: Statistic) -> float:
    return of.mean or 0.0


def _half_width(of: Statistic) -> float:
    return of.ci95_half_width or 0.0


def _ratio(logarithm: float) -> float:
    return math.exp(min(max(logarithm, -_LARGEST_LOG), _LARGEST_LOG))
