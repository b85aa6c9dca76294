"""Which experiments of a study are compared, and which are not because they did other work."""

from __future__ import annotations

from typing import Any

import pytest
from compared_study import HIGH, LOW, energy, outcomes, study_of, two

from llem.results.study_result import RunOutcome, StudyResult


def pairs(study: StudyResult, kind: str) -> set[tuple[str, str]]:
    return {(each.reference_id, each.experiment_id) for each in study.comparisons if kind in each.kinds}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tokens.input": 2100, "tokens.total": 12_100}, "other tokens: 10 and 10.5 input tokens a request"),
        ({"tokens.output": 11_000, "tokens.total": 13_000}, "other tokens: 50 and 55 output tokens a request"),
    ],
)
def test_claim_11_other_tokens_are_not_compared_and_say_why(changes: dict[str, Any], reason: str) -> None:
    _, found = two(outcomes("p", {"backend": "pytorch"}, HIGH, changes=changes))
    assert found.not_compared is not None
    assert found.not_compared.startswith(reason)
    assert (found.energy_per_output_token, found.output_tokens_per_s) == (None, None)


def test_claim_11_answers_that_differ_a_little_in_length_are_compared() -> None:
    _, found = two(outcomes("p", {"backend": "pytorch"}, HIGH, changes={"tokens.output": 10_400}))
    assert found.not_compared is None


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("output_length", ["fixed", "stop"]),
        ("max_output_tokens", [64, 128]),
        ("max_input_tokens", [64, 128]),
        ("prompt_format", ["raw", "chat"]),
        ("n", [4, 8]),
        ("dataset", ["builtin", "./mine.jsonl"]),
    ],
)
def test_claim_11_another_workload_is_not_compared_and_says_why(path: str, values: list[Any]) -> None:
    study = study_of(*(outcomes(f"e{value}", {path: value}, LOW) for value in values))
    (found,) = study.comparisons
    assert found.kinds == ("one_change",)
    assert found.not_compared == f"other work: {path} {values[0]} and {values[1]}"


def test_claim_11_where_one_thing_changes_each_value_is_compared_with_the_first_that_is_written() -> None:
    study = study_of(
        *(
            outcomes(f"{precision}-{size}", {"precision": precision, "pytorch.batch_size": size}, [j, j * 1.01])
            for precision, size, j in [("bf16", 1, 1.0), ("bf16", 8, 0.2), ("fp16", 1, 1.1), ("fp16", 8, 0.3)]
        )
    )
    found = {frozenset(pair) for pair in pairs(study, "one_change")}
    assert found == {
        frozenset(pair)
        for pair in (("bf16-1", "fp16-1"), ("bf16-8", "fp16-8"), ("bf16-1", "bf16-8"), ("fp16-1", "fp16-8"))
    }
    assert pairs(study, "best") == {("bf16-8", other) for other in ("bf16-1", "fp16-1", "fp16-8")}
    # Four experiments are six pairs, and any of the four might have been the best.
    assert {energy(each).family for each in study.comparisons} == {6}


def test_claim_11_of_each_backend_the_setting_that_costs_least_is_compared_all_shared_settings_equal() -> None:
    of = [
        ("p1", {"backend": "pytorch", "pytorch.batch_size": 1}, 1.0),
        ("p8", {"backend": "pytorch", "pytorch.batch_size": 8}, 0.4),
        ("v1", {"backend": "vllm", "vllm.engine.max_num_seqs": 1}, 0.9),
        ("v8", {"backend": "vllm", "vllm.engine.max_num_seqs": 8}, 0.3),
    ]
    study = study_of(*(outcomes(name, swept, [j, j * 1.01]) for name, swept, j in of))
    across = [each for each in study.comparisons if "one_change" in each.kinds and "backend" in each.changed]
    assert [(each.reference_id, each.experiment_id) for each in across] == [("v8", "p8")]
    assert across[0].changed["pytorch.batch_size"] == (None, 8)


def test_claim_11_models_are_compared_where_they_do_the_same_work_and_each_has_a_best_of_its_own() -> None:
    of = [(model, size) for model in ("./a", "./b") for size in (1, 8)]
    study = study_of(
        *(
            outcomes(f"{model[2:]}{size}", {"model": model, "pytorch.batch_size": size}, [1 / size, 1.01 / size])
            for model, size in of
        )
    )
    assert pairs(study, "best") == {("a8", "a1"), ("b8", "b1")}
    assert {("a1", "b1"), ("a8", "b8")} <= pairs(study, "one_change")
    assert {energy(each).family for each in study.comparisons} == {4}


def test_claim_11_an_experiment_alone_or_without_a_result_is_compared_with_nothing() -> None:
    assert study_of(outcomes("p", {}, HIGH)).comparisons == ()
    failed = [RunOutcome("v-c1", "v", "failed", {"backend": "vllm"}, None, "backend", "gone")]
    assert study_of(outcomes("p", {"backend": "pytorch"}, HIGH), failed).comparisons == ()
