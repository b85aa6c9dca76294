"""What an experiment earns over its cycles: every condition of level A on both sides of its limit, each check of B in
one run of it, failed cycles, and what is shown of all that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from results_factory import EXPERIMENT_ID, START_S, cycles, result
from scipy import stats

from llem.results.levels import experiment_quality, idle_power
from llem.results.statistics import statistic
from llem.results.study_result import (
    ENERGY_PER_TOKEN,
    RunOutcome,
    StudyRecord,
    StudyResult,
    build_study_result,
    metrics,
)
from llem.results.summary import summarise
from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import Check, Quality
from llem_runner.metrics import quality as run_quality

STEADY = [0.80, 0.81, 0.79]
DEVICE = "energy.devices.0"
RECORD = StudyRecord("night", "d" * 12, START_S)


def judged(runs: Sequence[ExperimentResult], others: Sequence[ExperimentResult] = (), failed: int = 0) -> Quality:
    return experiment_quality(runs, metrics(runs)[ENERGY_PER_TOKEN], idle_power([*runs, *others]), failed)


def check(found: Quality, name: str) -> Check:
    (one,) = [each for each in found.checks if each.name == name]
    return one


# Half the 95 % interval of three values m − d, m, m + d is 4.3027 d / √3: 5 % of 0.8 at d = 0.0161.
AT_THE_LIMIT_J = 0.05 * 0.8 / (stats.t.ppf(0.975, 2) / 3**0.5)

# check, what changes in every run, J/output token of the cycles, whether it is still an A
A_LIMITS: list[tuple[str, dict[str, Any], list[float], bool]] = [
    ("cycles", {}, STEADY, True),
    ("cycles", {}, [0.8, 0.8], False),
    ("confidence", {}, [0.8 - 0.99 * AT_THE_LIMIT_J, 0.8, 0.8 + 0.99 * AT_THE_LIMIT_J], True),
    ("confidence", {}, [0.8 - 1.01 * AT_THE_LIMIT_J, 0.8, 0.8 + 1.01 * AT_THE_LIMIT_J], False),
    ("window_length", {"window.duration_s": 30.0}, STEADY, True),
    ("window_length", {"window.duration_s": 29.99}, STEADY, False),
    ("counter_steps", {f"{DEVICE}.counter_steps": 300}, STEADY, True),
    ("counter_steps", {f"{DEVICE}.counter_steps": 299}, STEADY, False),
    ("bounds_width", {"energy.lower_j": 7920.0, "energy.upper_j": 8080.0}, STEADY, True),
    ("bounds_width", {"energy.upper_j": 8080.1}, STEADY, False),
    ("bounds_width", {"energy.lower_j": 7919.9}, STEADY, False),
]


@pytest.mark.parametrize(("name", "changes", "values_j", "is_a"), A_LIMITS)
def test_claim_8_11_every_condition_of_a_at_its_limit(
    name: str, changes: dict[str, Any], values_j: list[float], is_a: bool
) -> None:
    found = judged(cycles(values_j, changes))
    assert found.level == ("A" if is_a else "B")
    assert check(found, name).passed is is_a
    assert check(found, name).limit is not None
    assert [each.name for each in found.checks if each.passed is not True] == ([] if is_a else [name])


@pytest.mark.parametrize(("idle_w", "passed"), [(70.0, True), (77.0, True), (63.0, True), (77.1, False), (62.9, False)])
def test_claim_8_1_idle_drift_is_a_run_against_the_median_of_the_studys_others_on_its_gpu(
    idle_w: float, passed: bool
) -> None:
    runs = cycles(STEADY)
    drifted = runs[1].model_copy(update={"energy": runs[1].energy.model_copy(update={"idle_power_w": idle_w})})
    elsewhere = result({f"{DEVICE}.uuid": "GPU-2222", "energy.idle_power_w": 300.0})
    other_experiment = result({"energy.idle_power_w": 70.0})
    found = judged([runs[0], drifted, runs[2]], [elsewhere, other_experiment])
    assert check(found, "idle_drift").passed is passed
    assert check(found, "idle_drift").value == pytest.approx(100 * abs(idle_w - 70.0) / 70.0)
    assert check(found, "idle_drift").limit == 10.0
    assert found.level == ("A" if passed else "B")


def test_claim_8_1_a_run_that_did_not_measure_its_idle_power_cannot_be_known_not_to_have_drifted() -> None:
    runs = cycles(STEADY)
    silent = runs[2].model_copy(update={"energy": runs[2].energy.model_copy(update={"idle_power_w": None})})
    found = judged([*runs[:2], silent])
    assert (check(found, "idle_drift").passed, check(found, "idle_drift").value) == (None, 0.0)
    assert found.level == "B"
    drifted = runs[1].model_copy(update={"energy": runs[1].energy.model_copy(update={"idle_power_w": 90.0})})
    assert check(judged([runs[0], drifted, silent]), "idle_drift").passed is False


@pytest.mark.parametrize(
    ("limits_w", "passed", "level"),
    [([700.0, 700.0, 700.0], True, "A"), ([700.0, 700.0, 650.0], False, "B"), ([700.0, None, 700.0], None, "B")],
)
def test_claim_8_14_power_limits_that_differ_between_the_runs_of_an_experiment_fail_its_check(
    limits_w: list[float | None], passed: bool | None, level: str
) -> None:
    runs = [cycles(STEADY, {f"{DEVICE}.power_limit_w": limit_w})[index] for index, limit_w in enumerate(limits_w)]
    found = judged(runs)
    assert (check(found, "power_limit").passed, found.level) == (passed, level)


@pytest.mark.parametrize("name", run_quality.B_CHECKS)
@pytest.mark.parametrize("passed", [False, None])
def test_claim_8_11_any_check_of_b_that_one_run_fails_or_cannot_make_costs_run_and_experiment_their_level(
    name: str, passed: bool | None
) -> None:
    made = [Check(name=each, passed=passed if each == name else True) for each in run_quality.B_CHECKS]
    good = [Check(name=each, passed=True) for each in run_quality.B_CHECKS]
    runs = cycles(STEADY)
    energy = runs[0].energy
    assert run_quality.level(good, energy) == "B"
    assert run_quality.level(made, energy) == "C"
    worse = Quality(level=run_quality.level(made, energy), checks=tuple(made))
    assert judged(runs).level == "A"
    assert judged([*runs[:2], runs[2].model_copy(update={"quality": worse})]).level == "C"


@pytest.mark.parametrize(("failed", "passed", "level"), [(0, True, "A"), (1, False, "B"), (3, False, "B")])
def test_claim_8_12_a_cycle_that_failed_is_no_b_so_the_experiment_is_no_a(
    failed: int, passed: bool, level: str
) -> None:
    found = judged(cycles(STEADY), failed=failed)
    assert found.level == level
    assert (check(found, "failed_cycles").passed, check(found, "failed_cycles").value) == (passed, failed)


def study(values_j: list[float], changes: dict[str, Any] | None = None, failed: Sequence[int] = ()) -> StudyResult:
    done = [RunOutcome(run.run_id, EXPERIMENT_ID, "completed", {}, run) for run in cycles(values_j, changes)]
    lost = [
        RunOutcome(f"{EXPERIMENT_ID}-c{cycle}", EXPERIMENT_ID, "failed", {}, None, "accelerator_oom", "too little")
        for cycle in failed
    ]
    return build_study_result(RECORD, [*done, *lost])


def test_claim_8_12_failed_cycles_are_named_and_are_in_no_number() -> None:
    found = study(STEADY, failed=[4, 5])
    [experiment] = found.experiments
    assert (experiment.cycles, experiment.failed) == (3, (f"{EXPERIMENT_ID}-c4", f"{EXPERIMENT_ID}-c5"))
    assert experiment.metrics[ENERGY_PER_TOKEN].values == tuple(STEADY)
    assert [failure.run_id for failure in found.failures] == list(experiment.failed)
    assert experiment.quality is not None
    assert experiment.quality.level == "B"
    assert summarise(found).rows[0][-1] == "3 (2 failed)"


def test_claim_8_12_an_experiment_whose_every_cycle_failed_is_there_without_numbers() -> None:
    [experiment] = study([], failed=[1]).experiments
    assert (experiment.cycles, experiment.failed, experiment.quality) == (0, (f"{EXPERIMENT_ID}-c1",), None)
    assert summarise(study([], failed=[1])).rows[0][-2:] == ("–", "0 (1 failed)")


def test_claim_8_12_mean_interval_and_variation_over_the_cycles_are_students() -> None:
    found = study(STEADY).experiments[0].metrics[ENERGY_PER_TOKEN]
    low, high = stats.t.interval(0.95, 2, loc=0.8, scale=stats.sem(STEADY))
    assert found.mean == pytest.approx(0.8)
    assert found.ci95_half_width == pytest.approx((high - low) / 2)
    assert found.cv == pytest.approx(stats.tstd(STEADY) / 0.8)
    assert found.n == 3
    assert found == statistic(STEADY)


def test_claim_8_12_one_cycle_says_so() -> None:
    found = study([0.8])
    one = found.experiments[0].metrics[ENERGY_PER_TOKEN]
    assert (one.n, one.ci95_half_width, one.cv) == (1, None, None)
    assert any("One cycle only of 1 of 1 experiments: no interval" in note for note in summarise(found).notes)
    assert not any("One cycle" in note for note in summarise(study(STEADY)).notes)


@pytest.mark.parametrize(("simulated", "shown"), [(True, "A, simulated"), (False, "A")])
def test_claim_8_11_simulated_stands_beside_the_level_in_table_study_result_and_columns(
    simulated: bool, shown: str
) -> None:
    found = study(STEADY, {"simulated": simulated})
    record = found.model_dump(mode="json")["experiments"][0]
    assert (record["quality"]["level"], record["simulated"]) == ("A", simulated)
    assert all({"name", "passed", "value", "limit"} <= set(each) for each in record["quality"]["checks"])
    assert shown in summarise(found).rows[0]
    table = found.to_arrow()
    assert {"quality.level", "quality.checks", "simulated"} <= set(table.column_names)
    assert table["simulated"].to_pylist() == [simulated] * 3
    assert table["quality.level"].to_pylist() == ["B"] * 3


def test_claim_8_3_the_spread_of_the_passes_has_columns_and_statistics() -> None:
    spread = {"energy_per_output_token_cv": 0.02, "output_tokens_per_s_cv": 0.01, "n": 2}
    found = study(STEADY, {"passes_spread": spread})
    assert found.experiments[0].metrics["passes_spread.energy_per_output_token_cv"].mean == pytest.approx(0.02)
    assert found.to_arrow()["passes_spread.n"].to_pylist() == [2, 2, 2]
    assert study(STEADY).to_arrow()["passes_spread.output_tokens_per_s_cv"].to_pylist() == [None] * 3
