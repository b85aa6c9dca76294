"""A GPU's power sensor in pure Python: a power curve whose energy is exact, a counter and power readings made from it.

Independent of the simulated NVML library on purpose: here thousands of cases run without a clock.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

from llem_runner.power.series import ABSENT, Series

Energy = Callable[[float], float]
"""Energy in joule since time 0 as a function of time in seconds; its slope is the power."""


def constant(watts: float) -> Energy:
    return lambda t: watts * t


def square(low_w: float, high_w: float, period_s: float, duty: float = 0.5, phase_s: float = 0.0) -> Energy:
    """`high_w` for the first `duty` of each period, then `low_w`."""

    def since_origin(t: float) -> float:
        whole, rest = divmod(t - phase_s, period_s)
        high_s = whole * duty * period_s + min(rest, duty * period_s)
        return low_w * (t - phase_s) + (high_w - low_w) * high_s

    return lambda t: since_origin(t) - since_origin(0.0)


def triangle(low_w: float, high_w: float, period_s: float, phase_s: float = 0.0) -> Energy:
    """Straight up in half a period and straight down again."""
    half_s = period_s / 2
    slope = (high_w - low_w) / half_s

    def since_origin(t: float) -> float:
        whole, rest = divmod(t - phase_s, period_s)
        up, down = min(rest, half_s), max(0.0, rest - half_s)
        part = low_w * up + slope * up * up / 2 + high_w * down - slope * down * down / 2
        return whole * (low_w + high_w) / 2 * period_s + part

    return lambda t: since_origin(t) - since_origin(0.0)


def pieces(watts: list[float], piece_s: float) -> Energy:
    """Constant pieces of `piece_s` each, one after another, repeated for ever."""
    sums = [0.0]
    for value in watts:
        sums.append(sums[-1] + value * piece_s)

    def energy(t: float) -> float:
        rounds, rest = divmod(t, piece_s * len(watts))
        index = min(int(rest / piece_s), len(watts) - 1)
        return rounds * sums[-1] + sums[index] + watts[index] * (rest - index * piece_s)

    return energy


@dataclass(frozen=True)
class Sensor:
    """How one board reports. Times in seconds; jitter is the most that a step comes early or late."""

    step_s: float = 0.1
    step_phase_s: float = 0.0
    step_jitter_s: float = 0.0
    lag_s: float = 0.015
    instant_window_s: float = 0.025
    average_window_s: float = 1.05
    power_lag_s: float = 0.02
    has_counter: bool = True
    has_instant: bool = True
    has_average: bool = False


@dataclass(frozen=True)
class Polls:
    """How the recorder read: every `period_s`, late by up to `jitter_s`, each poll lost with `drop_out`."""

    period_s: float = 0.047
    jitter_s: float = 0.0005
    drop_out: float = 0.0
    read_s: float = 0.0002


def simulate(energy: Energy, sensor: Sensor, polls: Polls, duration_s: float, rng: random.Random) -> Series:
    """What a recorder sees from 0 to `duration_s`; the board has run since long before."""
    series = Series("GPU-simulated")
    step_times = _step_times(sensor, duration_s, rng)
    due_s = ready_s = 0.0
    while due_s < duration_s:
        before_s = max(ready_s, due_s + rng.uniform(0, polls.jitter_s))
        moment_s = before_s + rng.uniform(0, polls.read_s)
        ready_s = before_s + polls.read_s
        if rng.random() >= polls.drop_out:
            seen_s = step_times[bisect_right(step_times, moment_s) - 1]
            series.append(before_s, before_s + polls.read_s, **_values(energy, sensor, seen_s))
        due_s += polls.period_s
    return series


def _step_times(sensor: Sensor, duration_s: float, rng: random.Random) -> list[float]:
    first = -math.ceil(3 / sensor.step_s)
    count = math.ceil((duration_s + 4) / sensor.step_s)
    return sorted(
        sensor.step_phase_s + (first + n) * sensor.step_s + rng.uniform(-sensor.step_jitter_s, sensor.step_jitter_s)
        for n in range(count)
    )


def _values(energy: Energy, sensor: Sensor, seen_s: float) -> dict[str, float]:
    until_s = seen_s - sensor.power_lag_s

    def mean_w(window_s: float) -> float:
        return round((energy(until_s) - energy(until_s - window_s)) / window_s, 3)

    # An offset keeps the counter positive for steps before time 0.
    counter_mj = math.floor((energy(seen_s - sensor.lag_s) + 1e5) * 1000) if sensor.has_counter else ABSENT
    return {
        "counter_mj": counter_mj,
        "power_instant_w": mean_w(sensor.instant_window_s) if sensor.has_instant else ABSENT,
        "power_average_w": mean_w(sensor.average_window_s) if sensor.has_average else ABSENT,
    }
