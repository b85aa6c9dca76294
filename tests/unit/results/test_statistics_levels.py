"""Statistics over cycles, and the quality that an experiment earns by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from results_factory import cycles, result
from scipy import stats

from llem.results.levels import experiment_quality, idle_power
from llem.results.statistics import statistic
from llem.results.study_result import ENERGY_PER_TOKEN, metrics
from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import Check, Quality


def test_claim_2_the_interval_is_students() -> None:
    values = [10.0, 12.0, 11.0, 13.0, 9.5]
    found = statistic(values)
    low, high = stats.t.interval(0.95, len(values) - 1, loc=stats.tmean(values), scale=stats.sem(values))
    assert found.mean == pytest.approx(11.1)
    assert found.ci95_half_width == pytest.approx((high - low) / 2)
    assert found.cv == pytest.approx(stats.tstd(values) / 11.1)
    assert (found.n, found.values) == (5, tuple(values))


def test_claim_2_two_cycles_have_the_wide_interval_that_two_cycles_have() -> None:
    found = statistic([1.0, 2.0])
    assert found.ci95_half_width == pytest.approx(12.7062 * 0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "n", "mean", "half_width", "cv"),
    [
        ([], 0, None, None, None),
        ([None, None], 0, None, None, None),
        ([3.0], 1, 3.0, None, None),
        ([None, 3.0], 1, 3.0, None, None),
        ([2.0, None, 2.0], 2, 2.0, 0.0, 0.0),
        ([-1.0, 1.0], 2, 0.0, pytest.approx(12.7062, rel=1e-5), None),
    ],
)
def test_what_was_not_measured_counts_for_nothing(
    values: list[float | None], n: int, mean: float | None, half_width: float | None, cv: float | None
) -> None:
    found = statistic(values)
    assert (found.n, found.mean, found.ci95_half_width, found.cv) == (n, mean, half_width, cv)
    assert None not in found.values


def quality(runs: Sequence[ExperimentResult], others: Sequence[ExperimentResult] = ()) -> Quality:
    return experiment_quality(runs, metrics(runs)[ENERGY_PER_TOKEN], idle_power([*runs, *others]))


def check(found: Quality, name: str) -> Check:
    (one,) = [each for each in found.checks if each.name == name]
    return one


STEADY = [0.80, 0.81, 0.79]
DEVICE = "energy.devices.0"

# name of the check that stands against level A, changes to every run, J/output token of the cycles
NOT_A: list[tuple[str, dict[str, Any], list[float]]] = [
    ("cycles", {}, [0.8, 0.8]),
    ("confidence", {}, [0.7, 0.8, 0.9]),
    ("window_length", {"window.end_unix_s": 1_760_000_029.0, "window.duration_s": 29.0}, STEADY),
    ("counter_steps", {f"{DEVICE}.counter_steps": 299}, STEADY),
    ("counter_steps", {f"{DEVICE}.counter_steps": None}, STEADY),
    ("bounds_width", {"energy.upper_j": 8081.0}, STEADY),
    ("bounds_width", {"energy.lower_j": 7919.0}, STEADY),
    ("bounds_width", {"energy.lower_j": None}, STEADY),
    ("power_limit", {f"{DEVICE}.power_limit_w": None}, STEADY),
]


def test_three_steady_cycles_of_level_b_earn_an_a() -> None:
    found = quality(cycles(STEADY))
    assert found.level == "A"
    assert all(each.passed for each in found.checks)


@pytest.mark.parametrize(("name", "changes", "values_j"), NOT_A)
def test_one_check_below_the_mark_leaves_it_at_b(name: str, changes: dict[str, Any], values_j: list[float]) -> None:
    found = quality(cycles(values_j, changes))
    assert found.level == "B"
    assert [each.name for each in found.checks if not each.passed] == [name]


@pytest.mark.parametrize("level", ["C", "D"])
def test_the_worst_run_decides_below_b(level: str) -> None:
    runs = cycles([*STEADY, 0.8])
    runs[2] = runs[2].model_copy(update={"quality": Quality(level=level)})
    assert quality(runs).level == level


def test_a_run_that_calls_itself_an_a_is_believed_as_a_b() -> None:
    assert quality(cycles([0.8], {"quality.level": "A"})).level == "B"


def test_idle_drift_is_judged_against_the_median_of_the_others_on_the_same_boards() -> None:
    runs = cycles(STEADY)
    drifted = runs[1].model_copy(update={"energy": runs[1].energy.model_copy(update={"idle_power_w": 78.0})})
    found = quality([runs[0], drifted, runs[2]])
    assert found.level == "B"
    assert check(found, "idle_drift").value == pytest.approx(100 * 8 / 70)
    elsewhere = result({"energy.devices.0.uuid": "GPU-2222", "energy.idle_power_w": 300.0})
    assert quality(runs, [elsewhere] * 5).level == "A"


@pytest.mark.parametrize(
    ("others_w", "usual_w"), [([100.0], 100.0), ([50.0, 100.0], 75.0), ([70.0, 60.0, 90.0], 70.0), ([70.0, 70.0], 70.0)]
)
def test_the_median_leaves_the_run_itself_out(others_w: list[float], usual_w: float) -> None:
    own = result()
    others = [result({"energy.idle_power_w": power_w}) for power_w in others_w]
    found = check(quality([own], others), "idle_drift")
    assert found.value == pytest.approx(100 * abs(70.0 - usual_w) / usual_w)


def test_a_single_run_has_nothing_to_compare_its_idle_power_and_its_limit_with() -> None:
    names = {each.name for each in quality([result()]).checks}
    assert not names & {"idle_drift", "power_limit"}


def test_two_power_limits_in_one_experiment_are_no_a() -> None:
    runs = [*cycles(STEADY), result({"energy.devices.0.power_limit_w": 500.0})]
    found = quality(runs)
    assert found.level == "B"
    assert check(found, "power_limit").value == [500.0, 700.0]


def test_without_gpu_energy_nothing_is_called_measured() -> None:
    names = ("method", "total_j", "lower_j", "upper_j", "idle_power_w", "per_output_token_j")
    changes = {**{f"energy.{name}": None for name in names}, "energy.devices": [], "quality.level": "D"}
    found = quality([result(changes)] * 3)
    assert found.level == "D"
    assert check(found, "bounds_width").passed is None
    assert check(found, "confidence").passed is None
