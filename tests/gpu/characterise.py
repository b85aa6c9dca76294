"""What a board's sensors are like, from readings of it and from when its load ran. Pure.

The board is taken to draw one power while the load runs and another while it does not, both drifting slowly (it warms
up). Then the counter seen at t is c + P₀·t + ΔP·S(t − lag) + d·t², where S(t) is how long the load had run until t, and
a power reading that appears at t is P₀ + ΔP·(S(t − lag) − S(t − lag − window)) / window. For each lag, or lag and
window, the rest is a linear fit; the best is what leaves least. A load's first and last milliseconds, when clocks and
voltages follow, count to the lag.
"""

from __future__ import annotations

import itertools
import math
import statistics
from array import array
from dataclasses import dataclass
from typing import Any, Literal

from llem_runner.power.series import Series
from llem_runner.power.steps import find_steps

from .activity import Activity

LONGEST_LAG_S, LONGEST_WINDOW_S = 0.3, 1.5
LEAST_STEPS, LEAST_UPDATES, PARTS = 40, 20, 4
CLEARLY = 0.5
"""A model explains the counter clearly better than another where it leaves less than so much of what that leaves."""

SEES_ALL = 0.8
"""Of a step: a power reading that is the mean of more sees about everything."""

Verdict = Literal["all", "part", "unclear"]


class TooLittle(Exception):
    """The recording does not suffice; the message says of what."""


@dataclass(frozen=True)
class CounterFound:
    """A counter: seconds between steps (middle, 10 % and 90 % of them), its unit, the lag (and the range over parts of
    the recording), and the power without and with load, in watt: the mean over `length_s` from `begin_s` on, in which
    both rose by `drift_w`.
    """

    period_s: float
    period_p10_s: float
    period_p90_s: float
    unit_mj: int
    lag_s: float
    lag_low_s: float
    lag_high_s: float
    idle_w: float
    load_w: float
    drift_w: float
    begin_s: float
    length_s: float


@dataclass(frozen=True)
class PowerFound:
    """A power reading: seconds between updates, the window that it is the mean of, and its lag."""

    column: str
    update_s: float
    window_s: float
    lag_s: float


@dataclass(frozen=True)
class Integration:
    """Whether the counter adds up all of the power, or only what the power reading sees of it: what each model leaves
    unexplained, as a share of the load's power.
    """

    verdict: Verdict
    left_by_all: float
    left_by_part: float


def counter_found(series: Series, activity: Activity) -> CounterFound:
    """The counter's rhythm and lag. Raises TooLittle."""
    times_s, energies_j = _steps(series, activity)
    periods_s = _single_periods(times_s)
    lag_s, fit = _counter_lag(times_s, energies_j, activity)
    parts = [_counter_lag(*part, activity)[0] for part in _in_parts(times_s, energies_j)]
    length_s = float(times_s[-1] - times_s[0])
    _, idle_w, load_w, drift = (float(value) for value in fit)
    return CounterFound(
        period_s=_period_s(times_s),
        period_p10_s=_quantile(periods_s, 0.1),
        period_p90_s=_quantile(periods_s, 0.9),
        unit_mj=_unit_mj(series),
        lag_s=lag_s,
        lag_low_s=min(parts),
        lag_high_s=max(parts),
        idle_w=idle_w,
        load_w=idle_w + load_w,
        drift_w=2 * drift * length_s,
        begin_s=float(times_s[0]),
        length_s=length_s,
    )


def power_found(series: Series, column: str, activity: Activity) -> PowerFound:
    """A power reading's window and lag. Raises TooLittle."""
    import numpy as np

    times_s, watts = _updates(series, column, activity)
    coarse_windows = [*np.arange(0.005, 0.2, 0.005), *np.arange(0.2, LONGEST_WINDOW_S, 0.02)]
    coarse = itertools.product(coarse_windows, np.arange(0.0, LONGEST_LAG_S / 2, 0.005))
    window_s, lag_s = min(coarse, key=lambda pair: _power_left(times_s, watts, activity, *pair))
    fine = itertools.product(
        np.arange(max(0.001, window_s - 0.02), window_s + 0.02, 0.001),
        np.arange(max(0, lag_s - 0.01), lag_s + 0.01, 0.001),
    )
    window_s, lag_s = min(fine, key=lambda pair: _power_left(times_s, watts, activity, *pair))
    changes_s = [float(later - earlier) for earlier, later in itertools.pairwise(times_s)]
    return PowerFound(column, _shortest_rhythm_s(changes_s), float(window_s), float(lag_s))


def integration_found(series: Series, activity: Activity, counter: CounterFound, power: PowerFound) -> Integration:
    """All of the power, or only the last `power.window_s` of each step? Raises TooLittle."""
    import numpy as np

    times_s, energies_j = _steps(series, activity)
    steps = np.maximum(1, np.round(np.diff(times_s) / counter.period_s))
    seen_w = np.diff(energies_j) / (steps * counter.period_s)
    ends_s = times_s[1:] - counter.lag_s
    share_of_all = np.diff(activity.on_s(times_s - counter.lag_s)) / (steps * counter.period_s)
    share_of_part = (activity.on_s(ends_s) - activity.on_s(ends_s - power.window_s)) / power.window_s
    single = steps == 1
    change_w = counter.load_w - counter.idle_w
    left = [_left(seen_w[single], share[single]) / change_w for share in (share_of_all, share_of_part)]
    return Integration(_verdict(power.window_s > SEES_ALL * counter.period_s, *left), *left)


def _verdict(sees_all: bool, left_by_all: float, left_by_part: float) -> Verdict:
    """`sees_all`: the power reading misses nothing, so that there is no difference to see."""
    if sees_all:
        return "unclear"
    if left_by_all < CLEARLY * left_by_part:
        return "all"
    return "part" if left_by_part < CLEARLY * left_by_all else "unclear"


def reference_j(counter: CounterFound, activity: Activity, start_s: float, end_s: float) -> float:
    """The energy of a span by the load's own times and the two powers that the whole recording gives."""
    on_s = float(activity.on_s(end_s) - activity.on_s(start_s))
    middle = ((start_s + end_s) / 2 - counter.begin_s) / counter.length_s
    base_w = counter.idle_w + counter.drift_w * (middle - 0.5)
    return base_w * (end_s - start_s) + (counter.load_w - counter.idle_w) * on_s


def _steps(series: Series, activity: Activity) -> tuple[Any, Any]:
    """When the counter stepped while the load was run, and its energy then."""
    import numpy as np

    steps = find_steps(series)
    found = [
        ((steps.earliest_s[k] + steps.latest_s[k]) / 2, steps.counter_j[k])
        for k in range(1, len(steps))
        if activity.start_s - 1 <= steps.earliest_s[k] and steps.latest_s[k] <= activity.end_s + 1
    ]
    if len(found) < LEAST_STEPS:
        raise TooLittle(f"the counter stepped {len(found)} times while the load ran; {LEAST_STEPS} are needed")
    times_s, energies_j = zip(*found, strict=True)
    return np.array(times_s), np.array(energies_j)


def _counter_lag(times_s: Any, energies_j: Any, activity: Activity) -> tuple[float, Any]:
    """The lag that leaves least, to the millisecond, and the fit that belongs to it."""
    import numpy as np

    since_s = times_s - times_s[0]
    best: tuple[float, float, Any] | None = None
    for lag_s in np.arange(0.0, LONGEST_LAG_S, 0.001):
        columns = np.column_stack(
            [np.ones_like(since_s), since_s, activity.on_s(times_s - lag_s), since_s * (since_s - since_s[-1])]
        )
        fit = np.linalg.lstsq(columns, energies_j, rcond=None)[0]
        left = float(np.square(energies_j - columns @ fit).sum())
        if best is None or left < best[0]:
            best = (left, float(lag_s), fit)
    assert best is not None
    return best[1], best[2]


def _in_parts(times_s: Any, energies_j: Any) -> list[tuple[Any, Any]]:
    import numpy as np

    return list(zip(np.array_split(times_s, PARTS), np.array_split(energies_j, PARTS), strict=True))


def _updates(series: Series, column: str, activity: Activity) -> tuple[Any, Any]:
    """When a power reading was seen to change while the load was run, and to what."""
    import numpy as np

    values: array[float] = getattr(series, column)
    held, last_before_s = math.nan, math.nan
    found = []
    for before_s, after_s, value in zip(series.before_s, series.after_s, values, strict=True):
        if math.isnan(value):
            continue
        if value != held and not math.isnan(held) and activity.start_s <= after_s <= activity.end_s + 1:
            found.append(((last_before_s + after_s) / 2, value))
        held, last_before_s = value, before_s
    if len(found) < LEAST_UPDATES:
        raise TooLittle(f"{column} changed {len(found)} times while the load ran; {LEAST_UPDATES} are needed")
    times_s, watts = zip(*found, strict=True)
    return np.array(times_s), np.array(watts)


def _power_left(times_s: Any, watts: Any, activity: Activity, window_s: float, lag_s: float) -> float:
    ends_s = times_s - lag_s
    return _left(watts, (activity.on_s(ends_s) - activity.on_s(ends_s - window_s)) / window_s)


def _left(seen: Any, share: Any) -> float:
    """What a straight line through (share, seen) leaves: root mean square."""
    import numpy as np

    columns = np.column_stack([np.ones_like(share), share])
    fit = np.linalg.lstsq(columns, seen, rcond=None)[0]
    return float(np.sqrt(np.square(seen - columns @ fit).mean()))


def _period_s(times_s: Any) -> float:
    """The mean period; where a step was left out, two of them passed."""
    intervals = [float(later - earlier) for earlier, later in itertools.pairwise(times_s)]
    median_s = statistics.median(intervals)
    return sum(intervals) / sum(max(1, round(interval / median_s)) for interval in intervals)


def _single_periods(times_s: Any) -> list[float]:
    intervals = [float(later - earlier) for earlier, later in itertools.pairwise(times_s)]
    median_s = statistics.median(intervals)
    return [interval for interval in intervals if round(interval / median_s) == 1]


def _shortest_rhythm_s(changes_s: list[float]) -> float:
    """The update period behind changes that come every one, two, … updates: the lower quartile is one as a rule."""
    shortest_s = _quantile(changes_s, 0.25)
    return statistics.median(change / max(1, round(change / shortest_s)) for change in changes_s)


def _unit_mj(series: Series) -> int:
    """What all of the counter's rises are multiples of."""
    known = [int(value) for value in series.counter_mj if not math.isnan(value)]
    return math.gcd(*(later - earlier for earlier, later in itertools.pairwise(known)))


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))]
