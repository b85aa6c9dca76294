"""The statistics of a comparison: the paired ratio, its interval and test, and Holm's correction."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import fmean

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from llem.results.paired import LogRatio, PairedRatio, holm, paired_ratio

SETTINGS = settings(deadline=None, derandomize=True, database=None)
LOGS = st.floats(-3, 3).map(lambda value: round(value, 6))
WIDTHS = st.floats(0, 0.5)
CYCLES = st.lists(st.builds(lambda log, below, above: LogRatio(log, log - below, log + above), LOGS, WIDTHS, WIDTHS))
SEVERAL = CYCLES.filter(lambda cycles: len(cycles) > 1)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def exact(logs: Sequence[float]) -> list[LogRatio]:
    """Cycles without bounds."""
    return [LogRatio(log, log, log) for log in logs]


def swapped(cycles: Sequence[LogRatio]) -> list[LogRatio]:
    """The same cycles with the other one as the reference."""
    return [LogRatio(-cycle.measured, -cycle.upper, -cycle.lower) for cycle in cycles]


def interval(found: PairedRatio) -> tuple[float, float]:
    assert found.lower is not None
    assert found.upper is not None
    return found.lower, found.upper


@pytest.mark.parametrize(
    ("reference", "values"),
    [
        ([0.80, 0.82, 0.81], [0.90, 0.95, 0.91]),
        ([120.0, 118.0], [119.0, 121.0]),
        ([1.0, 2.0, 4.0, 8.0, 16.0], [1.1, 1.9, 4.3, 8.8, 15.0]),
    ],
)
def test_claim_11_without_bounds_interval_and_p_are_those_of_the_paired_t_test_on_logarithms(
    reference: list[float], values: list[float]
) -> None:
    logs, reference_logs = [math.log(value) for value in values], [math.log(value) for value in reference]
    test = stats.ttest_rel(logs, reference_logs)
    low, high = test.confidence_interval(0.95)
    found = paired_ratio(exact([one - other for one, other in zip(logs, reference_logs, strict=True)]))
    assert found.ratio == pytest.approx(stats.gmean(values) / stats.gmean(reference))
    assert interval(found) == pytest.approx((math.exp(low), math.exp(high)))
    assert found.p_value == pytest.approx(test.pvalue)


@SETTINGS
@given(SEVERAL)
def test_claim_11_swapping_the_pair_inverts_ratio_and_interval_and_keeps_p(cycles: list[LogRatio]) -> None:
    found, other = paired_ratio(cycles), paired_ratio(swapped(cycles))
    assert other.ratio == pytest.approx(1 / found.ratio)
    if found.p_value is None:
        assert other.p_value is None
        return
    low, high = interval(found)
    assert interval(other) == pytest.approx((1 / high, 1 / low))
    assert other.p_value == pytest.approx(found.p_value)


@SETTINGS
@given(SEVERAL, st.floats(0.01, 100))
def test_claim_11_a_factor_on_one_side_scales_ratio_and_interval(cycles: list[LogRatio], factor: float) -> None:
    shift = math.log(factor)
    moved = [LogRatio(each.measured + shift, each.lower + shift, each.upper + shift) for each in cycles]
    found, scaled = paired_ratio(cycles), paired_ratio(moved)
    assert scaled.ratio == pytest.approx(factor * found.ratio)
    if found.p_value is not None and scaled.p_value is not None:
        assert interval(scaled) == pytest.approx(tuple(factor * end for end in interval(found)))


@SETTINGS
@given(SEVERAL)
def test_claim_11_the_interval_holds_the_ratio_and_is_at_least_as_wide_as_the_bounds(
    cycles: list[LogRatio],
) -> None:
    found = paired_ratio(cycles)
    if found.p_value is None:
        return
    low, high = interval(found)
    room = 1 + 1e-9
    assert low <= found.ratio * room
    assert high >= found.ratio / room
    assert low <= math.exp(fmean(each.lower for each in cycles)) * room
    assert high >= math.exp(fmean(each.upper for each in cycles)) / room


@SETTINGS
@given(st.lists(LOGS, min_size=2), WIDTHS)
def test_claim_11_bounds_that_are_equally_wide_widen_students_interval_by_themselves(
    logs: list[float], width: float
) -> None:
    scatter = paired_ratio(exact(logs))
    assume(scatter.p_value is not None)
    low, high = interval(paired_ratio([LogRatio(log, log - width, log + width) for log in logs]))
    inner_low, inner_high = interval(scatter)
    assert low == pytest.approx(inner_low * math.exp(-width))
    assert high == pytest.approx(inner_high * math.exp(width))


@SETTINGS
@given(SEVERAL)
def test_claim_11_p_is_below_5_percent_exactly_where_the_interval_leaves_1_out(cycles: list[LogRatio]) -> None:
    found = paired_ratio(cycles)
    assume(found.p_value is not None and abs(found.p_value - 0.05) > 1e-9)
    low, high = interval(found)
    assert found.p_value is not None
    assert (found.p_value < 0.05) == (not low <= 1 <= high)


def test_claim_11_one_cycle_has_a_ratio_and_no_interval() -> None:
    assert paired_ratio([LogRatio(math.log(2), 0.5, 0.9)]) == PairedRatio(pytest.approx(2.0))


def test_claim_11_cycles_that_agree_to_the_digit_have_the_interval_of_their_bounds_and_without_bounds_none() -> None:
    same = [LogRatio(math.log(0.9), math.log(0.88), math.log(0.93))] * 3
    assert interval(paired_ratio(same)) == pytest.approx((0.88, 0.93))
    assert paired_ratio(same).p_value == pytest.approx(0.0)
    straddling = [LogRatio(math.log(0.99), math.log(0.97), math.log(1.01))] * 3
    assert paired_ratio(straddling).p_value == 1.0
    assert paired_ratio(exact([math.log(0.9)] * 3)) == PairedRatio(pytest.approx(0.9))


def test_a_difference_beyond_all_numbers_still_gives_numbers() -> None:
    found = paired_ratio(exact([-460.0, 460.0]))
    assert all(math.isfinite(end) for end in interval(found))


@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_claim_11_the_interval_covers_the_true_ratio_in_about_95_of_100_studies(k: int) -> None:
    draw = random.Random(k)
    true = math.log(0.9)
    studies = 2000
    covered = 0
    for _ in range(studies):
        low, high = interval(paired_ratio(exact([draw.gauss(true, 0.02) for _ in range(k)])))
        covered += low <= 0.9 <= high
    # Four standard errors of a share of 95 % over so many studies are 2 %.
    assert covered / studies == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0])
def test_claim_11_with_bounds_the_interval_covers_whatever_the_sensor_did_within_them(bias: float) -> None:
    draw = random.Random(11)
    true, open_log, k = math.log(1.1), 0.03, 3
    studies = 1000
    covered = 0
    for _ in range(studies):
        cycles = []
        for _ in range(k):
            seen = draw.gauss(true, 0.01) + bias * open_log
            cycles.append(LogRatio(seen, seen - open_log, seen + open_log))
        low, high = interval(paired_ratio(cycles))
        covered += low <= 1.1 <= high
    assert covered / studies >= 0.95 - 0.02


def test_claim_11_holm_is_as_published_and_as_bonferroni_for_the_smallest() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005], 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01], 6) == pytest.approx([0.06])
    assert holm([], 0) == []


@SETTINGS
@given(P_VALUES, st.integers(0, 5))
def test_claim_11_holm_keeps_the_order_never_lowers_p_and_never_passes_1(p_values: list[float], more: int) -> None:
    family = len(p_values) + more
    adjusted = holm(p_values, family)
    for p_value, after in zip(p_values, adjusted, strict=True):
        assert p_value <= after <= 1
    ordered = sorted(zip(p_values, adjusted, strict=True))
    assert [after for _, after in ordered] == sorted(adjusted)
    assert min(adjusted) == pytest.approx(min(1.0, family * min(p_values)))


@SETTINGS
@given(P_VALUES)
def test_claim_11_tests_that_were_not_made_count_as_such_that_do_not_reject(p_values: list[float]) -> None:
    unmade = [1.0] * 3
    family = len(p_values) + len(unmade)
    assert holm(p_values, family) == pytest.approx(holm([*p_values, *unmade], family)[: len(p_values)])


def test_claim_11_of_equal_experiments_hardly_a_study_in_20_names_any_difference_though_the_best_was_chosen() -> None:
    draw = random.Random(5)
    studies, n, k = 400, 6, 5
    wrong = 0
    for _ in range(studies):
        logs = [[draw.gauss(0, 0.02) for _ in range(k)] for _ in range(n)]
        best, *others = sorted(logs, key=fmean)
        pairs = [exact([one - ref for one, ref in zip(other, best, strict=True)]) for other in others]
        p_values = [found.p_value for found in map(paired_ratio, pairs) if found.p_value is not None]
        wrong += min(holm(p_values, math.comb(n, 2))) <= 0.05
    assert wrong / studies <= 0.05 + 0.03
