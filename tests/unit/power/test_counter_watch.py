"""A counter that breaks while it is recorded."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llem_runner.power.counter_watch import STANDSTILL_S, CounterWatch
from llem_runner.power.outcomes import GpuLost
from llem_runner.power.readings import Reading

Counter = Callable[[float], int | None]


def watch(counter_mj: Counter, power_w: float | None = 300.0, seconds: float = 20.0, period_s: float = 0.047) -> float:
    """Looks at a recording; the time at which the GPU was lost, or that of the last reading."""
    watching, time_s = CounterWatch(), 0.0
    while time_s < seconds:
        reading = Reading("GPU-a", time_s, time_s + 1e-4, counter_mj(time_s), power_instant_w=power_w)
        watching.look(reading)
        time_s += period_s
    return time_s


def stepping(step_s: float, watts: float = 300.0) -> Counter:
    return lambda time_s: int(time_s / step_s) * int(watts * step_s * 1000)


@pytest.mark.parametrize("step_s", [0.02, 0.1, 0.5, 2.0])
def test_claim_7_3_a_counter_that_steps_is_never_called_broken(step_s: float) -> None:
    watch(stepping(step_s))


@pytest.mark.parametrize(
    ("counter", "words"),
    [
        (lambda time_s: 5_000_000 + int(time_s * 3e5) - (4_000_000 if time_s > 9 else 0), "went backwards by 39"),
        (lambda time_s: int(time_s * 3e5) + (10**9 if time_s > 9 else 0), "jumped by"),
        (lambda time_s: int(min(time_s, 9.0) * 3e5), f"stood still for {STANDSTILL_S:.1f} s"),
    ],
    ids=["backwards", "jump", "standstill"],
)
def test_claim_7_3_a_counter_that_breaks_under_load_is_a_lost_gpu_that_says_how(counter: Counter, words: str) -> None:
    with pytest.raises(GpuLost, match=f"GPU-a: the energy counter {words}"):
        watch(counter)


@pytest.mark.parametrize(
    ("counter", "power_w"),
    [
        (lambda time_s: 7, 0.5),
        (lambda time_s: 7, None),
        (lambda time_s: None, 300.0),
        (lambda time_s: None if 5 < time_s < 15 else int(time_s * 3e5), 300.0),
    ],
    ids=["no power", "power unknown", "no counter", "a counter that was silent for a while"],
)
def test_claim_7_3_a_standstill_without_a_load_is_no_fault(counter: Counter, power_w: float | None) -> None:
    watch(counter, power_w)


def test_a_gap_in_the_recording_is_no_fault_of_the_counter() -> None:
    watch(stepping(0.1), seconds=100.0, period_s=12.0)
