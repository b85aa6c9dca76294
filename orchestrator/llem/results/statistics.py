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
        ci95_half_width=_student_t(n - 1) * deviation / math.sqrt(n),
        cv=deviation / abs(mean) if mean else None,
        n=n,
        values=measured,
    )


def _student_t(degrees_of_freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.975))
