"""What an audit of the study room found, claim by claim of issue 5: each was wrong once."""

# ruff: noqa: E501 (tables: one case a line)

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llem.errors import UsageError
from llem.study import Plan, StudyFileError, load_settings, load_study, make_plan, parse_study
from llem_runner.contract import ExperimentConfig

M = "model: builtin:tiny-llama\n"


def plan_of(text: str) -> Plan:
    return make_plan(parse_study(text, source="s.yaml"))


def problems_of(text: str) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        plan_of(text)
    return [str(problem).removeprefix("s.yaml:") for problem in caught.value.problems]


def only(text: str) -> ExperimentConfig:
    [config] = plan_of(text).experiments.values()
    return config


# Values


def test_claim_5_6_what_an_engine_gets_stays_as_it_is_written_and_the_id_does_not_mind() -> None:
    floats = M + "passthrough_kwargs: {a: 2.0, b: [1.0, {c: 3.0}]}\npytorch: {max_memory: {x: 4.0}}\n"
    wholes = floats.replace(".0", "")
    config = only(floats)
    assert repr(config.passthrough_kwargs) == "{'a': 2.0, 'b': [1.0, {'c': 3.0}]}"
    assert config.pytorch is not None
    assert repr(config.pytorch.max_memory) == "{'x': 4.0}"
    assert repr(plan_of(floats).to_json()["experiments"][0]["passthrough_kwargs"]) == repr(config.passthrough_kwargs)
    assert list(plan_of(floats).experiments) == list(plan_of(wholes).experiments)


@pytest.mark.parametrize(
    "sweep", ["passthrough_kwargs.a: 2.0", "g: [{passthrough_kwargs.a: 2.0}]", "g: [{passthrough_kwargs: {a: 2.0}}]"]
)
def test_claim_5_1_a_swept_value_for_an_engine_stays_as_it_is_written(sweep: str) -> None:
    assert repr(only(M + f"sweep: {{{sweep}}}\n").passthrough_kwargs) == "{'a': 2.0}"


def test_claim_5_5_an_empty_key_is_allowed_where_any_key_is() -> None:
    config = only(M + "pytorch: {device_map: {'': cpu}}\n")
    assert config.pytorch is not None
    assert config.pytorch.device_map == {"": "cpu"}
    plan = plan_of(M + "experiments: [{}, {passthrough_kwargs: {'': 1, a: {'': 2}}}]\n")
    assert plan.swept == ("passthrough_kwargs.", "passthrough_kwargs.a.")
    assert problems_of(M + "sweep: {passthrough_kwargs.: [1]}\n")[0].startswith("2:9: unknown path")


def test_claim_5_3_off_may_be_quoted() -> None:
    assert parse_study(M + "execution: {gate: 'off', parallel: 'off'}\n", source="s.yaml").execution.gate is None


EQUAL_SYNTHETIC = ["", "output_length: fixed", "output_length: stop", "max_output_tokens: 64", "max_input_tokens: 128", "max_input_tokens: 999"]  # fmt: skip


def test_claim_5_6_a_synthetic_dataset_is_resolved_so_that_equal_experiments_have_equal_ids() -> None:
    plans = [plan_of(M + "dataset: {input_len: 128, output_len: 64}\n" + line + "\n") for line in EQUAL_SYNTHETIC]
    assert len({tuple(plan.experiments) for plan in plans}) == 1
    shown = plans[0].to_json()["experiments"][0]
    assert (shown["output_length"], shown["max_input_tokens"], shown["max_output_tokens"]) == ("fixed", 128, 64)
    swept = plan_of(M + "sweep: {g: [{dataset: {input_len: 8, output_len: [3, 4]}}, {}]}\n")
    assert swept.distinct_values("output_length") == ["fixed", "stop"]
    assert swept.distinct_values("max_output_tokens") == [3, 4, 128]


def test_claim_5_2_a_limit_that_contradicts_a_swept_synthetic_dataset_skips_just_that() -> None:
    plan = plan_of(M + "max_output_tokens: 3\nsweep: {g: [{dataset: {input_len: 8, output_len: [3, 4]}}, {}]}\n")
    assert [skipped.rule for skipped in plan.skipped] == ["synthetic_output_not_limit"]
    assert len(plan.experiments) == 2


def test_claim_5_2_a_sampling_key_of_a_merged_experiment_is_not_counted_again() -> None:
    plan = plan_of(M + "decoder: {temperature: 0.5}\nsweep: {n: [5, 5, 5]}\n")
    assert plan.warnings == ("decoder.temperature changes nothing in 1 experiment: do_sample is false",)


# Problems: all at once, each once, with the right reason

TOGETHER = {
    "half a dataset": (M + "dataset: {input_len: 5}\nzzzz: 1\n", ["2:1: dataset: output_len is missing", "3:1: unknown key 'zzzz'"]),
    "no model in a group": ("sweep: {g: [{n: 1}, {model: x}]}\nzzzz: 1\n", ["1:13: model is missing: name a Hub id, a folder, or builtin:…", "2:1: unknown key 'zzzz'"]),
    "half a dataset in an entry": (M + "experiments: [{dataset: {output_len: 5}}, {n: x}]\n", ["2:16: dataset: input_len is missing", "2:47: n: expected a whole number ≥ 1, found text 'x'"]),
    "both lengths of a group": (M + "sweep: {g: [{dataset.input_len: 1}, {dataset.output_len: 1}]}\n", ["2:13: dataset: output_len is missing", "2:37: dataset: input_len is missing"]),
    "all gpus": (M + "execution: {gpus: [-1, true, '', 3]}\n", [f"2:{column}: execution.gpus[{index}]: expected a whole number ≥ 0 or text, found {what}" for index, column, what in ((0, 20, "the number -1"), (1, 24, "true"), (2, 30, "empty text"))]),
    "no gpus": (M + "execution: {gpus: []}\n", ["2:19: execution.gpus: the list is empty"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER)
def test_claim_5_5_all_errors_at_once_whatever_finds_them(name: str) -> None:
    text, expected = TOGETHER[name]
    assert problems_of(text) == expected


ONCE = {
    "unknown builtin": "model: builtin:tiny\n",
    "blank model": "model: ''\n",
    "a list as model": "model: [a]\n",
    "a model with a tag": "model: !x y\n",
    "swept models": "sweep: {model: ['']}\n",
    "a model's empty list": "sweep: {model: []}\n",
    "models in a group": "sweep: {g: [{model: [5]}, {model: x}]}\n",
    "a group named model": "sweep: {model: [{a: 1}]}\n",
    "an entry's model": "experiments: [{model: ''}]\n",
    "a wrong length": M + "dataset: {input_len: 5, output_len: x}\n",
    "a wrong swept length": M + "dataset: {input_len: 5}\nsweep: {dataset.output_len: [x]}\n",
    "a wrong backend beside another's axis": M + "backend: vlm\nsweep: {vllm.engine.block_size: [8]}\n",
    "a wrong backend in an entry": M + "experiments: [{backend: vlm, vllm: {engine: {block_size: 8}}}]\n",
    "no backend": M + "backend: []\nsweep: {vllm.engine.block_size: [8]}\n",
}


@pytest.mark.parametrize("name", ONCE)
def test_claim_5_5_what_is_written_wrongly_is_told_once_and_not_called_missing(name: str) -> None:
    problems = problems_of(ONCE[name])
    assert len(problems) == 1, problems
    assert "missing" not in problems[0]


LATER = ["tensorrt: [{}]", "traffic: [{}]", "sglang: []", "gpu.model: [{}]", "gpu: [{}]", "g: [{tensorrt: {}}]"]


@pytest.mark.parametrize("sweep", LATER)
def test_claim_5_3_a_list_of_mappings_under_a_name_that_is_not_there_yet_says_so(sweep: str) -> None:
    [problem] = problems_of(M + f"sweep: {{{sweep}}}\n")
    assert problem.endswith(": not available yet")


REASONS = {
    "precision: [bf16, {a: 1}]": "2:27: sweep.precision: values and mappings are mixed",
    "precision: [{a: 1}, bf16]": "2:29: sweep.precision: values and mappings are mixed",
    "n: [{min: 1, max: 2, num: 2}]": "2:13: sweep.n: a range stands alone, not in a list",
    "n: [1, {pow2: {min: 1, max: 2}}]": "2:16: sweep.n: a range stands alone, not in a list",
    "g: [{n: [{log: {min: 1, max: 2, num: 2}}]}]": "2:18: n: a range stands alone, not in a list",
    "g: [{n: 1}, 2]": "2:21: sweep.g: expected a mapping like the other entries, found the number 2: a list of values is an axis",
    "n: {pow3: {min: 1, max: 2}}": "(did you mean 'pow2'?)",
    "n: {logg: {min: 1, max: 2, num: 2}}": "(did you mean 'log'?)",
    "execution.n_cycles: [1, 2]": "2:9: 'execution.n_cycles': execution is a key of the study: those are not swept",
    "g: [{runners: {pytorch: local}}]": "2:14: 'runners': runners is a key of the study: those are not swept",
    "output: [{folder: x}]": "2:9: sweep.output: output is a key of the study: those are not swept",
}  # fmt: skip


@pytest.mark.parametrize("sweep", REASONS)
def test_claim_5_5_a_sweep_that_is_wrong_is_told_the_right_reason(sweep: str) -> None:
    [problem] = problems_of(M + f"sweep: {{{sweep}}}\n")
    assert REASONS[sweep] in problem


MISSPELT = [
    "execution: {placment: 1}",
    "execution: {clustr: 1}",
    "tensort: 1",
    "traffc: 1",
    "gp: 1",
    "sweep: {trafic: [1]}",
]


@pytest.mark.parametrize("line", MISSPELT)
def test_claim_5_5_nothing_that_is_not_there_yet_is_suggested(line: str) -> None:
    [problem] = problems_of(M + line + "\n")
    assert "unknown" in problem
    assert "did you mean" not in problem


# Places and pauses

PLACES = {
    "backend: [pytorch, pytorch]": [("s.yaml:2:11 (backend[0])", "s.yaml:2:20 (backend[1])")],
    "sweep: {g: [{backend: pytorch}, {backend: [pytorch, pytorch]}]}": [
        ("s.yaml:2:13 (sweep.g[0])", "s.yaml:2:33 (sweep.g[1])"),
        ("s.yaml:2:13 (sweep.g[0])", "s.yaml:2:33 (sweep.g[1])"),
    ],
    "sweep: {g: [{n: [5, 5], random_seed: 1}]}": [("s.yaml:2:18 (sweep.g[0].n[0])", "s.yaml:2:21 (sweep.g[0].n[1])")],
    "backend: [pytorch, vllm]\nsweep: {g: [{precision: fp16}, {backend: pytorch, precision: fp16}]}": [
        ("s.yaml:3:13 (sweep.g[0])", "s.yaml:3:32 (sweep.g[1])"),
        (
            "s.yaml:2:11 (backend[0]) with s.yaml:3:13 (sweep.g[0])",
            "s.yaml:2:20 (backend[1]) with s.yaml:3:32 (sweep.g[1])",
        ),
    ],
    "sweep: {n: [5, 6]}\nexperiments: [{n: 6}, {n: 6}]": [
        ("s.yaml:2:16 (sweep.n[1])", "s.yaml:3:15 (experiments[0])"),
        ("s.yaml:2:16 (sweep.n[1])", "s.yaml:3:23 (experiments[1])"),
    ],
}


@pytest.mark.parametrize("text", PLACES)
def test_claim_5_7_a_note_names_two_places_that_are_two(text: str) -> None:
    merged = plan_of(M + text + "\n").merged
    assert [(one.first, one.again) for one in merged] == PLACES[text]
    assert all(one.first != one.again for one in merged)


@pytest.mark.parametrize("order", ["sequential", "interleaved", "shuffled", "reverse", "latin_square"])
@pytest.mark.parametrize(("n_cycles", "experiments"), [(1, 1), (1, 3), (4, 1), (3, 4)])
def test_claim_5_8_the_pauses_total_is_that_of_the_runs(order: str, n_cycles: int, experiments: int) -> None:
    settings = f"n_cycles: {n_cycles}, cycle_order: {order}, experiment_gap_seconds: 3, cycle_gap_seconds: 0.5"
    values = list(range(1, experiments + 1))
    plan = plan_of(M + f"execution: {{{settings}}}\nsweep: {{n: {values}}}\n")
    assert plan.pause_seconds == sum(run.gap_seconds for run in plan.runs)


def test_claim_5_8_what_is_skipped_is_grouped_by_rule_and_reason() -> None:
    plan = plan_of(M + "sweep: {pytorch.torch_compile_mode: [null, default], n: [5, 6, 7], decoder.preset: [factual, null]}\n")  # fmt: skip
    [group] = plan.skipped_groups()
    assert (group.rule, group.count) == ("compile_mode_without_compile", 6)
    assert group.reason == plan.skipped[0].reason
    assert group.first == {"n": 5, "decoder.preset": "factual", "pytorch.torch_compile_mode": "default"}


# Files


def test_claim_5_5_a_file_that_would_be_waited_for_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "s.yaml"
    os.mkfifo(fifo)
    for load in (load_study, load_settings):
        with pytest.raises(UsageError, match="cannot be read \\(not a regular file\\)"):
            load(fifo)
    with pytest.raises(StudyFileError, match=r"base: .* is not a file"):
        parse_study(M + "base: s.yaml\n", source=tmp_path / "t.yaml")


def test_claim_5_5_a_hostile_file_name_stays_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_study(tmp_path / "a\n\x1b[31mb.yaml")
    assert "a\\n\\x1b[31mb.yaml: the study file cannot be read" in str(caught.value)
