"""Claim 2 of issue 5: every skip rule has a name, a reason and a test."""

# ruff: noqa: E501 (tables: one case a line)

from __future__ import annotations

import json

import pytest

from llem.study import Plan, StudyFileError, make_plan, parse_study
from llem.study.experiment import not_default
from llem.study.rules import BOUND_RULES, RULES

KEEP = "random_seed: 7"  # beside it, so that not everything is skipped

# rule → (what breaks it, what it says, what is near and does not break it)
CASES: dict[str, tuple[str, str, list[str]]] = {
    "4bit_with_8bit": ("pytorch.load_in_4bit: true, pytorch.load_in_8bit: true", "exclude each other", ["pytorch.load_in_4bit: true, pytorch.load_in_8bit: false"]),
    "bnb_without_4bit": ("pytorch.bnb_4bit_quant_type: nf4", "bnb_4bit_… keys need load_in_4bit", ["pytorch.bnb_4bit_quant_type: nf4, pytorch.load_in_4bit: true"]),
    "quantisation_on_cpu": ("pytorch.load_in_8bit: true, device: cpu", "needs a GPU, device is cpu", ["pytorch.load_in_8bit: true, device: cuda", "pytorch.load_in_8bit: false, device: cpu"]),
    "vllm_quantisation_on_cpu": ("backend: vllm, vllm.engine.quantization: fp8, device: cpu", "quantization fp8 needs a GPU", ["backend: vllm, vllm.engine.quantization: fp8"]),
    "compile_mode_without_compile": ("pytorch.torch_compile_mode: default", "torch_compile_mode default needs torch_compile: true", ["pytorch.torch_compile_mode: default, pytorch.torch_compile: true"]),
    "compile_backend_without_compile": ("pytorch.torch_compile_backend: inductor", "torch_compile_backend inductor needs", ["pytorch.torch_compile_backend: inductor, pytorch.torch_compile: true"]),
    "flash_attention_in_fp32": ("pytorch.attn_implementation: flash_attention_2, precision: fp32", "flash_attention_2 computes in fp16 or bf16", ["pytorch.attn_implementation: flash_attention_2", "pytorch.attn_implementation: sdpa, precision: fp32"]),
    "flash_attention_on_cpu": ("pytorch.attn_implementation: flash_attention_3, device: cpu", "flash_attention_3 needs a GPU", ["pytorch.attn_implementation: eager, device: cpu"]),
    "beams_with_sampling": ("pytorch.num_beams: 4, decoder.preset: creative", "beam search (num_beams 4) does not sample", ["pytorch.num_beams: 1, decoder.do_sample: true", "pytorch.num_beams: 4"]),
    "beam_search_with_sampling": ("backend: vllm, vllm.beam_search: {beam_width: 4}, decoder.do_sample: true", "beam search does not sample", ["backend: vllm, vllm.beam_search: {beam_width: 4}", "backend: vllm, vllm.beam_search: {beam_width: null}, decoder.do_sample: true"]),
    "static_cache_with_beams": ("pytorch.cache_implementation: static, pytorch.num_beams: 2", "a static cache cannot follow 2 beams", ["pytorch.cache_implementation: dynamic, pytorch.num_beams: 2", "pytorch.cache_implementation: static"]),
    "cache_without_use_cache": ("pytorch.cache_implementation: dynamic, pytorch.use_cache: false", "needs use_cache: true", ["pytorch.use_cache: false"]),
    "lookup_with_beams": ("pytorch.prompt_lookup_num_tokens: 3, pytorch.num_beams: 2", "does not work with 2 beams", ["pytorch.prompt_lookup_num_tokens: 3"]),
    "lookup_with_batch": ("pytorch.prompt_lookup_num_tokens: 3, pytorch.batch_size: 2", "one prompt at a time, batch_size is 2", ["pytorch.prompt_lookup_num_tokens: 3, pytorch.batch_size: 1"]),
    "lookup_with_static_cache": ("pytorch.prompt_lookup_num_tokens: 3, pytorch.cache_implementation: static", "does not work with a static cache", ["pytorch.prompt_lookup_num_tokens: 3, pytorch.cache_implementation: dynamic"]),
    "lookup_without_cache": ("pytorch.prompt_lookup_num_tokens: 3, pytorch.use_cache: false", "prompt lookup needs use_cache", ["pytorch.prompt_lookup_num_tokens: 3, pytorch.use_cache: true"]),
    "model_length_too_short": ("backend: vllm, vllm.engine.max_model_len: 639", "max_model_len 639 is less than the tokens asked for", ["backend: vllm, vllm.engine.max_model_len: 640", "backend: vllm, vllm.engine.max_model_len: 8, dataset: {input_len: 5, output_len: 3}"]),
    "min_new_tokens_above_limit": ("decoder.min_new_tokens: 129", "min_new_tokens 129 is above the output limit", ["decoder.min_new_tokens: 128", "decoder.min_new_tokens: 129, max_output_tokens: 129"]),
    "synthetic_input_above_limit": ("dataset: {input_len: 9, output_len: 3}, max_input_tokens: 8", "input_len 9 is above max_input_tokens 8", ["dataset: {input_len: 8, output_len: 3}, max_input_tokens: 8", "dataset: {input_len: 9000, output_len: 3}"]),
    "synthetic_output_not_limit": ("dataset: {input_len: 9, output_len: 3}, max_output_tokens: 4", "output_len 3 is not max_output_tokens 4", ["dataset: {input_len: 9, output_len: 3}, max_output_tokens: 3", "dataset: {input_len: 9, output_len: 3}"]),
    "sampling_max_tokens_differ": ("backend: vllm, vllm.sampling.max_tokens: 64", "max_tokens 64 is not the output limit", ["backend: vllm, vllm.sampling.max_tokens: 128", "backend: vllm, vllm.sampling.max_tokens: 3, dataset: {input_len: 9, output_len: 3}"]),
    "beam_max_tokens_differ": ("backend: vllm, vllm.beam_search.max_tokens: 64", "max_tokens 64 is not the output limit", ["backend: vllm, vllm.beam_search.max_tokens: 64, max_output_tokens: 64"]),
    "min_tokens_differ": ("backend: vllm, vllm.sampling.min_tokens: 5", "min_tokens 5 is not decoder.min_new_tokens", ["backend: vllm, vllm.sampling.min_tokens: 5, decoder.min_new_tokens: 5", "backend: vllm, vllm.sampling.min_tokens: 0"]),
    "sampling_at_zero_temperature": ("decoder.do_sample: true, decoder.temperature: 0", "sampling needs a temperature above 0", ["decoder.temperature: 0"]),
    "greedy_samples_alike": ("backend: vllm, vllm.sampling.n: 3", "n 3 without sampling would give one answer 3 times", ["backend: vllm, vllm.sampling.n: 3, decoder.do_sample: true", "backend: vllm, vllm.sampling.n: 1"]),
    "warmup_limits_crossed": ("warmup.min_iterations: 9, warmup.max_iterations: 8", "min_iterations 9 is above max_iterations 8", ["warmup.min_iterations: 8, warmup.max_iterations: 8"]),
    "lora_with_dummy_weights": ("lora.adapter_path: x, weights: dummy", "an adapter on dummy weights", ["lora.adapter_path: x", "weights: dummy"]),
    "lora_one_source": ("lora.adapter_path: x, lora.adapter_id: y", "exactly one of adapter_id and adapter_path", ["lora.adapter_id: y", "lora: {merge_weights: false}"]),
}  # fmt: skip


def plan_of(*entries: str) -> Plan:
    """A study of a group, which is the shortest way to write several experiments with dotted paths."""
    listed = "".join(f"    - {{{entry}}}\n" for entry in entries)
    return make_plan(parse_study(f"model: builtin:tiny-llama\nsweep:\n  g:\n{listed}", source="s.yaml"))


def test_claim_5_2_every_rule_has_a_name_of_its_own_a_reason_and_a_case() -> None:
    assert list(CASES) == [rule.name for rule in RULES]
    assert len(set(CASES)) == len(CASES)
    assert all(rule.reason for rule in RULES)


@pytest.mark.parametrize("name", CASES)
def test_claim_5_2_the_rule_skips_what_breaks_it_and_nothing_near(name: str) -> None:
    breaking, reason, near = CASES[name]
    plan = plan_of(breaking, *near, KEEP)
    assert [skipped.rule for skipped in plan.skipped] == [name]
    assert reason in plan.skipped[0].reason
    assert len(plan.experiments) + len(plan.merged) == len(near) + 1
    json.dumps(plan.skipped[0].to_json())


@pytest.mark.parametrize("name", CASES)
def test_claim_5_2_a_rule_judges_shared_keys_as_it_does_swept_ones(name: str) -> None:
    breaking, _, _ = CASES[name]
    with pytest.raises(StudyFileError, match=rf"the only experiment is skipped: {name}: "):
        plan_of(breaking)


def test_claim_5_2_no_rule_is_broken_by_the_defaults() -> None:
    nothing = not_default({"model": "x"})
    assert [bound.rule.name for bound in BOUND_RULES if bound.broken_by(nothing)] == []


def test_claim_5_2_all_skipped_is_an_error_that_names_the_rules() -> None:
    with pytest.raises(StudyFileError, match=r"s\.yaml:2:1: all 2 experiments are skipped: compile_mode_without_comp"):
        plan_of("pytorch.torch_compile_mode: [default, max-autotune]")


def test_claim_5_2_more_than_half_skipped_is_a_warning() -> None:
    two_of_three = plan_of("pytorch.torch_compile_mode: [default, max-autotune]", KEEP)
    assert two_of_three.warnings == ("2 of 3 experiments are skipped: compile_mode_without_compile (2)",)
    half = plan_of("pytorch.torch_compile_mode: default", KEEP)
    assert half.warnings == ()


def test_claim_5_2_a_sampling_key_without_sampling_gives_two_experiments_and_a_warning() -> None:
    plan = plan_of("decoder.temperature: [0.5, 1.0]")
    assert len(plan.experiments) == 2
    assert plan.warnings == ("decoder.temperature changes nothing in 1 experiment: do_sample is false",)


def test_claim_5_2_the_first_rule_of_the_table_gives_the_reason() -> None:
    both = "pytorch.num_beams: 2, pytorch.cache_implementation: static, decoder.do_sample: true"
    assert [skipped.rule for skipped in plan_of(both, KEEP).skipped] == ["beams_with_sampling"]
