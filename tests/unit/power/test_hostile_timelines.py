"""Claim 11: whatever becomes of a timeline, the bounds contain what the curve behind it gave, or there is a reason.

`LLEM_BOUND_EXAMPLES` sets how many random cases each test tries.
"""

from __future__ import annotations

import math
import os
import random
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_simulator import Energy, Polls, Sensor, constant, pieces, simulate, square, triangle

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator
from llem_runner.power.series import Series

LENGTH_S = 9.0
BOARDS = ("NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA GeForce RTX 3090", "?")
examples = int(os.environ.get("LLEM_BOUND_EXAMPLES", "120"))
hostile = settings(
    max_examples=examples,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
power_w = st.floats(0, 700)
edges_s = st.floats(-1, LENGTH_S + 1)


@st.composite
def curves(draw: st.DrawFn) -> Energy:
    low_w, high_w = sorted((draw(power_w), draw(power_w)))
    kind = draw(st.sampled_from(["constant", "square", "in-step", "triangle", "pieces"]))
    if kind == "constant":
        return constant(high_w)
    if kind == "triangle":
        return triangle(low_w, high_w, draw(st.floats(0.05, 5)))
    if kind == "pieces":
        return pieces(draw(st.lists(power_w, min_size=2, max_size=20)), draw(st.floats(0.005, 0.5)))
    # Exactly in step with the counter, or beside it by what a beat makes of it.
    period_s = draw(st.floats(0.01, 3) if kind == "square" else st.sampled_from([0.05, 0.052, 0.1, 0.104, 0.2, 0.5]))
    return square(low_w, high_w, period_s, draw(st.floats(0.05, 0.95)), draw(st.floats(0, 1)))


@dataclass(frozen=True)
class Damage:
    """What happens to a timeline: shares of rows, and moments."""

    lost: float
    doubled: float
    swapped: float
    blanked: float
    gap_s: float
    gap_at_s: float
    reset_at_s: float | None
    kept: int | None


damages = st.builds(
    Damage,
    lost=st.sampled_from([0.0, 0.0, 0.1, 0.6]),
    doubled=st.sampled_from([0.0, 0.0, 0.2]),
    swapped=st.sampled_from([0.0, 0.0, 0.0, 0.01]),
    blanked=st.sampled_from([0.0, 0.0, 0.3]),
    gap_s=st.sampled_from([0.0, 0.0, 0.3, 1.5, 4.0]),
    gap_at_s=st.floats(0, LENGTH_S),
    reset_at_s=st.one_of(st.none(), st.none(), st.floats(0, LENGTH_S)),
    kept=st.sampled_from([None, None, None, None, 0, 1, 2, 4]),
)


def damaged(series: Series, damage: Damage, rng: random.Random) -> Series:
    """The rows that are left, in the order in which they are found."""
    rows: list[int] = []
    for row, time_s in enumerate(series.before_s):
        in_gap = damage.gap_at_s <= time_s < damage.gap_at_s + damage.gap_s
        if not in_gap and rng.random() >= damage.lost:
            rows += [row, row] if rng.random() < damage.doubled else [row]
    for place in range(1, len(rows)):
        if rng.random() < damage.swapped:
            rows[place - 1], rows[place] = rows[place], rows[place - 1]
    if damage.kept is not None:
        rows = sorted(rng.sample(rows, min(damage.kept, len(rows))))
    left = Series(series.device)
    for row in rows:
        was_reset = damage.reset_at_s is not None and series.before_s[row] >= damage.reset_at_s
        values = {
            "counter_mj": series.counter_mj[row] - (9e7 if was_reset else 0),
            "power_w": series.power_w[row],
            "power_average_w": series.power_average_w[row],
            "power_instant_w": series.power_instant_w[row],
        }
        blank = {name: math.nan if rng.random() < damage.blanked else value for name, value in values.items()}
        left.append(series.before_s[row], series.after_s[row], **blank)
    return left


def check(series: Series, board: str, curve: Energy, start_s: float, end_s: float, methods: set[str]) -> None:
    found = Estimator(series, board_facts(board)).energy(start_s, end_s)
    if found.refusal is not None:
        assert found.refusal
        assert (found.total_j, found.lower_j, found.upper_j) == (None, None, None)
        return
    assert start_s < end_s
    assert found.method in methods
    assert found.total_j is not None
    assert found.lower_j is not None
    assert found.upper_j is not None
    truth_j = curve(end_s) - curve(start_s)
    assert found.lower_j - 0.01 <= truth_j <= found.upper_j + 0.01
    assert 0 <= found.lower_j <= found.total_j <= found.upper_j < math.inf


@hostile
@given(
    st.data(),
    st.sampled_from(BOARDS),
    curves(),
    st.one_of(st.sampled_from([0.02, 0.1, 0.1, 0.5]), st.floats(0.02, 0.5)),
    st.sampled_from([0.001, 0.01, 0.047, 0.05, 0.1, 0.5]),
    damages,
    st.tuples(edges_s, edges_s),
    st.integers(0, 2**32),
)
def test_claim_7_11_with_a_counter_bounds_hold_for_any_curve_however_damaged_the_timeline(
    data: st.DataObject,
    board: str,
    curve: Energy,
    step_s: float,
    poll_s: float,
    damage: Damage,
    span: tuple[float, float],
    seed: int,
) -> None:
    rng = random.Random(seed)
    lag = board_facts(board).counter_lag_ms
    sensor = Sensor(
        step_s=step_s,
        step_phase_s=rng.random(),
        step_jitter_s=data.draw(st.sampled_from([0.0, 0.0015, 0.005, 0.03])) * step_s * 10,
        lag_s=rng.uniform(lag.low, lag.high) / 1000,
        has_instant=data.draw(st.booleans()),
    )
    whole = simulate(curve, sensor, Polls(period_s=poll_s, jitter_s=0.002), LENGTH_S, rng)
    left = damaged(whole, damage, rng)
    if left.has_counter:
        check(left, board, curve, *span, methods={"counter"})


@hostile
@given(
    st.sampled_from(BOARDS),
    st.sampled_from(["constant", "load", "ramp"]),
    st.tuples(power_w, power_w),
    st.booleans(),
    st.sampled_from([0.01, 0.047, 0.1]),
    damages,
    st.tuples(edges_s, edges_s),
    st.integers(0, 2**32),
)
def test_claim_7_11_without_a_counter_bounds_hold_for_a_load_however_damaged_the_timeline(
    board: str,
    kind: str,
    powers_w: tuple[float, float],
    average: bool,
    poll_s: float,
    damage: Damage,
    span: tuple[float, float],
    seed: int,
) -> None:
    rng = random.Random(seed)
    low_w, high_w = powers_w
    begin_s, stop_s = sorted((rng.uniform(0, LENGTH_S), rng.uniform(0, LENGTH_S)))

    def load(t: float) -> float:
        return low_w * t + (high_w - low_w) * max(0.0, min(t, stop_s) - begin_s)

    curve = {"constant": constant(low_w), "load": load, "ramp": triangle(low_w, high_w, 8.0)}[kind]
    window_ms = board_facts(board).instant_window_ms
    sensor = Sensor(
        step_s=0.1,
        step_phase_s=rng.random(),
        step_jitter_s=0.0015,
        instant_window_s=rng.uniform(window_ms.low, window_ms.high) / 1000,
        average_window_s=rng.uniform(1.0, 1.1),
        power_lag_s=rng.uniform(0, 0.05),
        has_counter=False,
        has_instant=not average,
        has_average=average,
    )
    whole = simulate(curve, sensor, Polls(period_s=poll_s, jitter_s=0.002), LENGTH_S, rng)
    check(damaged(whole, damage, rng), board, curve, *span, methods={"power", "average_power"})
