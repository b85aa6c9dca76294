"""`comparisons` of `study_result.json`: the ratio of a pair, its interval, and what is said of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from compared_study import HIGH, LOW, energy, outcomes, study_of, two
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from results_factory import START_S
from scipy import stats

from llem.results.comparison import Comparison, Ratio
from llem.results.study_result import StudyResult, write_study_result

OTHER_BOARD = {"energy.devices.0.uuid": "GPU-2222"}


def test_claim_11_two_backends_are_one_comparison_against_the_one_that_needs_less() -> None:
    _, found = two()
    assert (found.reference_id, found.experiment_id) == ("v", "p")
    assert found.kinds == ("best", "one_change")
    assert found.changed == {"backend": ("vllm", "pytorch")}
    assert (found.level, found.simulated, found.not_compared) == ("A", False, None)
    ratio = energy(found)
    assert ratio.ratio == pytest.approx(stats.gmean(HIGH) / stats.gmean(LOW))
    assert ratio.cycles == (1, 2, 3)
    assert (ratio.verdict, ratio.family) == ("higher", 1)
    assert ratio.p_holm == ratio.p_value


def test_claim_11_the_interval_goes_from_students_limit_for_the_lower_bounds_to_that_for_the_upper() -> None:
    _, found = two()
    logs = [math.log(one / other) for one, other in zip(HIGH, LOW, strict=True)]
    low, high = stats.t.interval(0.95, 2, loc=stats.tmean(logs), scale=stats.sem(logs))
    # Both energies have bounds of 8000 J from 7960 J to 8040 J.
    below, above = math.log(8000 / 7960) + math.log(8040 / 8000), math.log(8040 / 8000) + math.log(8000 / 7960)
    assert energy(found).ci95_lower == pytest.approx(math.exp(low - below))
    assert energy(found).ci95_upper == pytest.approx(math.exp(high + above))


def test_claim_11_cycles_that_agree_to_the_digit_do_not_hide_the_bounds_of_the_energy() -> None:
    _, near = two(outcomes("p", {"backend": "pytorch"}, [0.505] * 3), outcomes("v", {"backend": "vllm"}, [0.500] * 3))
    assert energy(near).ci95_lower == pytest.approx(1.01 * 7960 / 8040)
    assert energy(near).ci95_upper == pytest.approx(1.01 * 8040 / 7960)
    assert energy(near).verdict == "not_distinguishable"
    _, far = two(outcomes("p", {"backend": "pytorch"}, [0.6] * 3), outcomes("v", {"backend": "vllm"}, [0.5] * 3))
    assert energy(far).verdict == "higher"


def test_claim_11_one_cycle_has_a_ratio_and_no_interval_and_names_no_difference() -> None:
    _, found = two(outcomes("p", {"backend": "pytorch"}, [0.8]), outcomes("v", {"backend": "vllm"}, [0.5]))
    ratio = energy(found)
    assert ratio.ratio == pytest.approx(1.6)
    assert (ratio.verdict, ratio.reason) == ("no_interval", "one cycle: no interval")
    assert (ratio.ci95_lower, ratio.ci95_upper, ratio.p_value, ratio.p_holm) == (None,) * 4


def test_claim_11_only_cycles_that_both_completed_count() -> None:
    _, found = two(outcomes("p", {"backend": "pytorch"}, HIGH)[1:], outcomes("v", {"backend": "vllm"}, LOW)[:2])
    assert energy(found).cycles == (2,)
    assert energy(found).verdict == "no_interval"
    _, apart = two(outcomes("p", {"backend": "pytorch"}, HIGH)[2:], outcomes("v", {"backend": "vllm"}, LOW)[:2])
    assert apart.not_compared == "no cycle was completed of both"
    assert apart.energy_per_output_token is None


def test_claim_11_without_energy_the_rates_are_compared_and_the_energy_is_not_measured() -> None:
    none: dict[str, Any] = {
        **{f"energy.{name}": None for name in ("total_j", "lower_j", "upper_j")},
        "energy.source": "none",
        "quality.level": "D",
    }
    study, found = two(
        outcomes("p", {"backend": "pytorch"}, [None] * 3, [100, 102, 101], none),
        outcomes("v", {"backend": "vllm"}, [None] * 3, [150, 151, 152], none),
    )
    assert energy(found).verdict == "not_measured"
    assert energy(found).ratio is None
    assert energy(found).reason == "not measured in any cycle of both"
    assert found.output_tokens_per_s is not None
    assert (found.reference_id, found.output_tokens_per_s.verdict, found.level) == ("v", "lower", "D")
    assert StudyResult.model_validate_json(study.model_dump_json()).comparisons == study.comparisons


def test_claim_11_on_one_board_its_gain_drops_out_and_on_two_both_gains_widen_the_interval() -> None:
    _, same = two()
    _, apart = two(outcomes("p", {"backend": "pytorch"}, HIGH, changes=OTHER_BOARD))
    assert same.notes == ()
    lower, widened = energy(same).ci95_lower, energy(apart).ci95_lower
    assert lower is not None
    assert widened == pytest.approx(lower * 0.95 * 0.95)
    assert energy(apart).ratio == energy(same).ratio
    assert apart.notes == (
        "not on the same boards in 3 of 3 cycles: the interval of J/output token is widened by what their gains leave "
        "open, ±5 % and ±5 %",
    )


def test_claim_11_a_difference_that_two_boards_could_make_is_not_distinguishable() -> None:
    slightly = [j * 1.06 for j in LOW]
    _, same = two(outcomes("p", {"backend": "pytorch"}, slightly))
    _, apart = two(outcomes("p", {"backend": "pytorch"}, slightly, changes=OTHER_BOARD))
    assert (energy(same).verdict, energy(apart).verdict) == ("higher", "not_distinguishable")


def test_claim_11_energies_without_bounds_or_by_different_meters_say_so() -> None:
    theirs = {"energy.source": "zeus", "energy.lower_j": None, "energy.upper_j": None}
    _, found = two(outcomes("p", {"backend": "pytorch"}, HIGH, changes=theirs))
    assert any("different meters: nvml and zeus" in note for note in found.notes)
    assert any("no bounds of the energy are known" in note for note in found.notes)


@settings(deadline=None, max_examples=50, derandomize=True, database=None)
@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=2, max_size=5),
    st.floats(1e-3, 1e3),
)
def test_claim_11_the_unit_of_the_energy_changes_nothing(values: list[tuple[float, float]], unit: float) -> None:
    ours, theirs = zip(*values, strict=True)
    _, found = two(outcomes("p", {"backend": "pytorch"}, ours), outcomes("v", {"backend": "vllm"}, theirs))
    _, scaled = two(
        outcomes("p", {"backend": "pytorch"}, [unit * each for each in ours]),
        outcomes("v", {"backend": "vllm"}, [unit * each for each in theirs]),
    )
    assume(found.reference_id == scaled.reference_id)
    assert energy(scaled).ratio == pytest.approx(energy(found).ratio)
    assert energy(scaled).ci95_lower == pytest.approx(energy(found).ci95_lower)
    assert energy(scaled).ci95_upper == pytest.approx(energy(found).ci95_upper)
    assert energy(scaled).p_holm == pytest.approx(energy(found).p_holm)


def test_claim_11_rates_need_no_bounds_and_their_test_is_the_paired_t_test() -> None:
    one, other = [100.0, 103.0, 99.0], [110.0, 112.0, 111.0]
    _, found = two(outcomes("p", {"backend": "pytorch"}, HIGH, one), outcomes("v", {"backend": "vllm"}, LOW, other))
    ratio = found.output_tokens_per_s
    assert ratio is not None
    test = stats.ttest_rel([math.log(each) for each in one], [math.log(each) for each in other])
    low, high = test.confidence_interval(0.95)
    assert (ratio.ci95_lower, ratio.ci95_upper) == pytest.approx((math.exp(low), math.exp(high)))
    assert ratio.p_value == pytest.approx(test.pvalue)
    assert ratio.verdict == "lower"


def test_claim_11_cycles_that_follow_each_other_instead_of_taking_turns_say_so() -> None:
    hour_later = {"window": {"start_unix_s": START_S + 3600, "end_unix_s": START_S + 3640, "duration_s": 40.0}}
    _, found = two(outcomes("p", {"backend": "pytorch"}, HIGH, changes=hour_later))
    assert any("all cycles of one were measured before those of the other" in note for note in found.notes)


def test_a_lower_bound_of_nothing_leaves_every_difference_open() -> None:
    _, found = two(outcomes("p", {"backend": "pytorch"}, HIGH, changes={"energy.lower_j": 0.0}))
    assert energy(found).verdict == "not_distinguishable"


@pytest.mark.parametrize(("level", "simulated"), [("C", False), ("C", True), ("D", False)])
def test_claim_11_a_comparison_has_the_worse_level_and_whether_it_is_of_simulated_boards(
    level: str, simulated: bool
) -> None:
    changes = {"quality.level": level, "simulated": simulated}
    _, found = two(outcomes("p", {"backend": "pytorch"}, HIGH, changes=changes))
    assert (found.level, found.simulated) == (level, simulated)


def test_claim_11_among_many_pairs_a_difference_that_chance_could_make_is_not_named() -> None:
    alone, many = [1.0, 1.01, 1.02], [1.06, 1.08, 1.11]
    _, found = two(outcomes("p", {"backend": "pytorch"}, many), outcomes("v", {"backend": "vllm"}, alone))
    assert energy(found).verdict == "higher"
    more = [outcomes(f"e{size}", {"pytorch.batch_size": size}, [j * size for j in many]) for size in range(2, 12)]
    study = study_of(
        outcomes("e0", {"pytorch.batch_size": 1}, alone), outcomes("e1", {"pytorch.batch_size": 99}, many), *more
    )
    same = next(each for each in study.comparisons if each.experiment_id == "e1")
    ratio = energy(same)
    assert ratio.ci95_lower == energy(found).ci95_lower
    assert ratio.p_value == energy(found).p_value
    assert (ratio.family, ratio.verdict) == (66, "not_distinguishable")


def test_claim_11_the_comparisons_are_in_study_result_json_as_they_are_documented(tmp_path: Path) -> None:
    study, _ = two()
    write_study_result(tmp_path / "study_result.json", study)
    (record,) = json.loads((tmp_path / "study_result.json").read_text(encoding="utf-8"))["comparisons"]
    assert record["changed"] == {"backend": ["vllm", "pytorch"]}
    assert record["energy_per_output_token"]["verdict"] == "higher"
    docs = (Path(__file__).resolve().parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    described = docs[docs.index("## Comparisons") : docs.index("## `results.parquet`")]
    for name in (*Comparison.model_fields, *Ratio.model_fields):
        assert f"`{name}`" in described, name
