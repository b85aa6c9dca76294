"""Claims 7 and 8 of issue 5, claim 6 of issue 4: what a plan tells, and the JSON of `llem plan --json`."""

from __future__ import annotations

import json

import pytest

from llem.study import Plan, make_plan, parse_study, unavailable
from llem_runner.contract import ExperimentConfig

STUDY = """
name: kitchen-sink
model: builtin:tiny-llama
backend: [pytorch, vllm]
sweep:
  precision: [bf16, fp16]
  decoder.temperature: [0.0, 1.0]
  pytorch.batch_size: [1, 8]
  pytorch.torch_compile_mode: [null, default]
  vllm.engine.max_num_seqs: {pow2: {min: 1, max: 8}}
  kv_cache:
    - {}
    - {vllm.engine.kv_cache_dtype: fp8, vllm.engine.block_size: [16, 32]}
experiments:
  - {backend: pytorch, precision: fp32, n: 25}
execution: {n_cycles: 3, cycle_order: shuffled, experiment_gap_seconds: 10, cycle_gap_seconds: 30}
"""


def plan_of(text: str) -> Plan:
    return make_plan(parse_study(text, source="s.yaml"))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_of(STUDY)


def test_claim_6_plan_json_has_the_keys_of_the_issue_and_nothing_else(plan: Plan) -> None:
    data = json.loads(json.dumps(plan.to_json()))
    assert list(data) == ["study_design_hash", "experiments", "skipped", "order"]
    assert data["study_design_hash"] == plan.design_hash
    assert [experiment["experiment_id"] for experiment in data["experiments"]] == list(plan.experiments)
    assert data["order"] == [run.run_id for run in plan.runs]
    assert all(list(skipped) == ["rule", "reason", "experiment"] for skipped in data["skipped"])


def test_claim_6_each_experiment_has_its_defaults_filled_in_and_its_own_backends_section_only(plan: Plan) -> None:
    for data in plan.to_json()["experiments"]:
        listed = {key: value for key, value in data.items() if key != "experiment_id"}
        config = plan.experiments[data["experiment_id"]]
        whole = config.model_dump(mode="json", exclude={"vllm" if config.backend == "pytorch" else "pytorch"})
        whole["decoder"].pop("preset")  # shorthand, resolved
        assert listed == whole
        assert ExperimentConfig.model_validate(listed) == config


def test_claim_5_8_declared_is_what_is_unique_skipped_and_merged_together(plan: Plan) -> None:
    pytorch, vllm, entry = 2 * 2 * 2 * 2 * 2, 3 * 2 * 2 * 4, 1
    assert plan.declared == pytorch + vllm + entry
    assert plan.declared == len(plan.experiments) + len(plan.skipped) + len(plan.merged)
    assert len(plan.skipped) == pytorch // 2
    assert len(plan.merged) == pytorch // 4
    assert len(plan.runs) == 3 * len(plan.experiments)
    assert plan.pause_seconds == sum(run.gap_seconds for run in plan.runs)


def test_claim_5_8_swept_columns_are_the_paths_that_vary_in_their_order(plan: Plan) -> None:
    assert plan.swept == (
        "backend",
        "vllm.engine.kv_cache_dtype",
        "vllm.engine.block_size",
        "precision",
        "decoder.temperature",
        "pytorch.batch_size",
        "pytorch.torch_compile_mode",
        "vllm.engine.max_num_seqs",
        "n",
    )
    first, last = (plan.swept_values(experiment_id) for experiment_id in (list(plan.experiments)[i] for i in (0, -1)))
    assert first == {
        "backend": "pytorch",
        "precision": "bf16",
        "decoder.temperature": 0,
        "pytorch.batch_size": 1,
        "pytorch.torch_compile_mode": None,
        "n": 100,
    }
    assert (last["precision"], last["n"], "vllm.engine.block_size" in last) == ("fp32", 25, False)


def test_claim_5_8_a_study_of_one_sweeps_nothing() -> None:
    one = plan_of("model: x\nsweep: {precision: bf16}\nexperiments: [{precision: bf16}]\n")
    assert (one.swept, one.swept_values(next(iter(one.experiments))), len(one.merged)) == ((), {}, 1)


def test_claim_5_8_presets_are_shown_as_they_are_written() -> None:
    presets = plan_of("model: x\nsweep: {decoder.preset: [standard, factual]}\n")
    assert [presets.swept_values(i) for i in presets.experiments] == [
        {"decoder.preset": "standard"},
        {"decoder.preset": "factual"},
    ]


def test_claim_5_7_identical_experiments_collapse_with_a_note_that_names_both_places() -> None:
    text = """model: x
sweep:
  precision: [bf16, fp16]
  n: [5,
      6, 5.0]
experiments:
  - {n: 6}
  - {n: 7}
"""
    plan = plan_of(text)
    assert (plan.declared, len(plan.experiments)) == (8, 5)
    assert [(merged.first, merged.again) for merged in plan.merged] == [
        ("s.yaml:4:7 (sweep.n[0])", "s.yaml:5:10 (sweep.n[2])"),
        ("s.yaml:4:7 (sweep.n[0])", "s.yaml:5:10 (sweep.n[2])"),
        ("s.yaml:3:15 (sweep.precision[0]) with s.yaml:5:7 (sweep.n[1])", "s.yaml:7:5 (experiments[0])"),
    ]
    first, again = plan.merged[2].first, plan.merged[2].again
    assert (
        plan.notes[2] == f"{again} is the same experiment as {first}: {plan.merged[2].experiment_id} is measured once"
    )


def test_claim_5_7_many_identical_experiments_give_few_notes() -> None:
    plan = plan_of("model: x\nsweep: {n: {min: 5, max: 5, num: 500}}\n")
    assert (len(plan.experiments), len(plan.merged), len(plan.notes)) == (1, 499, 21)
    assert plan.notes[-1] == "… and 479 more that are the same as earlier ones"


def test_claim_5_experiments_are_built_when_they_are_asked_for_and_found_by_id() -> None:
    plan = plan_of("model: x\nsweep: {n: {min: 1, max: 5000, num: 5000}, pytorch.batch_size: [1, 2]}\n")
    ids = list(plan.experiments)
    assert len(ids) == len(plan.experiments) == 10_000
    assert ids[7123] in plan.experiments
    config = plan.experiments[ids[7123]]
    assert (config.n, config.pytorch.batch_size if config.pytorch else None) == (3562, 2)
    assert "nothing" not in plan.experiments
    with pytest.raises(KeyError):
        plan.experiments["nothing"]
    assert plan.distinct_values("pytorch.batch_size") == [1, 2]
    assert plan.distinct_values("precision") == ["bf16"]


def test_claim_5_3_distinct_values_leave_out_what_is_skipped() -> None:
    plan = plan_of("model: x\nsweep: {g: [{n: 1}, {n: 2, pytorch.torch_compile_mode: default}]}\n")
    assert plan.distinct_values("n") == [1]


def test_claim_5_8_distinct_values_see_through_presets() -> None:
    plan = plan_of("model: x\nsweep: {decoder.preset: [deterministic, creative]}\n")
    assert plan.distinct_values("decoder.do_sample") == [False, True]
    assert plan.distinct_values("decoder.temperature") == [1.0, 0.8]


NOT_BUILT = {
    "execution: {parallel: gpus, on_complete: x}": [
        "execution.parallel",
        "execution.on_complete",
    ],
    "pytorch: {num_processes: 2}": ["pytorch.num_processes"],
}


@pytest.mark.parametrize("line", NOT_BUILT)
def test_claim_5_3_what_is_not_built_yet_plans_and_is_answered_from_one_table(line: str) -> None:
    study = parse_study(f"model: builtin:tiny-llama\n{line}\n", source="s.yaml")
    answers = unavailable(study, make_plan(study))
    assert [answer.key for answer in answers] == NOT_BUILT[line]
    assert all("is not available yet" in answer.message for answer in answers)


DEFAULTS = """
model: builtin:tiny-llama
runners: {pytorch: auto}
images: {pytorch: {pull: missing}}
docker: {gpu_driver: auto, memory_limit: null, shm_size: 8g, network: none}
execution: {gate: off, parallel: off, gpus: null, on_complete: null, skip_preflight: false, n_cycles: 2,
  cycle_order: reverse, timeout_seconds: 5, load_timeout_seconds: 5, stall_seconds: 5, max_consecutive_failures: 2,
  wall_clock_limit_hours: 0.5}
energy: {backend: none}
output: {folder: x, save_timeline: false}
lora: {adapter_path: x}
weights: real
passthrough_kwargs: {x: 1}
pytorch: {num_processes: 1}
"""


def test_claim_5_3_at_their_defaults_keys_of_later_features_are_accepted() -> None:
    study = parse_study(DEFAULTS, source="s.yaml")
    assert unavailable(study, make_plan(study)) == []
    local = parse_study("model: builtin:tiny-llama\nrunners: {pytorch: local}\n", source="s.yaml")
    assert unavailable(local, make_plan(local)) == []
