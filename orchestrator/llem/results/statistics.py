"""What repeated measurements of one quantity say. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

from llem_runner.contract.strict import Record


class Statistic(Record):
    """A quantity over the cycles of an experiment. `values` are the `n` that were measured, in the order of cycles.

    The mean lies with 95 % confidence within ± `ci95_half_width`; `cv` is the standard deviation over the mean.
    """

    mean: Optional[float] = None
    ci95_half_width: Optional[float] = None
    cv: Optional[float] = None
    n: int
    values: tuple[float, ...] = ()


def statistic(values: Sequence[float | None]) -> Statistic:
    """Mean, interval and variation of the values that are there; None was not measured and counts for nothing.

    The interval is Student's: t(0.975, n − 1) · s / √n, with the sample's standard deviation s (n − 1). One value has
    neither interval nor variation.
    """
    measured = tuple(float(value) for value in values if value is not None)
    n = len(measured)
    if n == 0:
        return Statistic(n=0)
    mean = math.fsum(measured) / n
    if n == 1:
        return Statistic(mean=mean, n=1, values=measured)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in measured) / (n - 1))
    return Statistic(
        mean=mean,
        ci95_half_width=_quantile(n - 1) * deviation / math.sqrt(n),
        cv=deviation / abs(mean) if mean else None,
        n=n,
        values=measured,
    )


def p_of_zero(measured: Statistic) -> float | None:
    """Two-sided p of Student's t-test that the true mean is 0; None for fewer than two values.

    It is below 0.05 exactly where the 95 % interval leaves 0 out.
    """
    if measured.mean is None or measured.ci95_half_width is None:
        return None
    if measured.ci95_half_width == 0:
        return 0.0 if measured.mean else 1.0
    from scipy.special import stdtr

    standard_error = measured.ci95_half_width / _quantile(measured.n - 1)
    return 2 * float(stdtr(measured.n - 1, -abs(measured.mean) / standard_error))


def _quantile(degrees_of_freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.975))
