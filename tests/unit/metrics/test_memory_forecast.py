"""The forecast of a GPU's memory, against sums that are written out here and sizes that are public."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner.contract import ExperimentConfig
from llem_runner.metrics.memory_forecast import ModelFiles, forecast

GIB = 2**30
MIB = 2**20
LLAMA_8B: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}  # fmt: skip
PARAMETERS = 8_029_995_008
"""Of Llama-3.1-8B, without its norms."""
KV_PER_TOKEN = 2 * 32 * 8 * 128 * 2


def experiment(**keys: Any) -> ExperimentConfig:
    return ExperimentConfig.model_validate({"model": "x", **keys})


def files(config: dict[str, Any] | None = None, weights_bytes: int = 0) -> ModelFiles:
    return ModelFiles(LLAMA_8B if config is None else config, weights_bytes)


@pytest.mark.parametrize(("precision", "element_bytes"), [("bf16", 2), ("fp16", 2), ("fp32", 4)])
def test_claim_10_7_weights_are_all_matrices_in_the_precision_of_the_run(precision: str, element_bytes: int) -> None:
    found = forecast(experiment(precision=precision), files(), 1)
    assert found.weights_bytes == pytest.approx(PARAMETERS * element_bytes, rel=1e-3)


def test_claim_10_7_transformers_holds_one_batch_at_most_and_nothing_of_it_is_certain() -> None:
    keys = {"pytorch": {"batch_size": 16}, "max_input_tokens": 1000, "max_output_tokens": 24}
    found = forecast(experiment(**keys), files(), 1)
    assert (found.least_kv_bytes, found.most_kv_bytes) == (0, 16 * 1024 * KV_PER_TOKEN)
    assert forecast(experiment(n=4, **keys), files(), 1).most_kv_bytes == 4 * 1024 * KV_PER_TOKEN
    beams = {**keys, "pytorch": {"batch_size": 2, "num_beams": 3}}
    assert forecast(experiment(**beams), files(), 1).most_kv_bytes == 6 * 1024 * KV_PER_TOKEN
    without = {**keys, "pytorch": {"batch_size": 16, "use_cache": False}}
    assert (
        forecast(experiment(**without), files(), 1).most_bytes
        == forecast(experiment(**without), files(), 1).least_bytes
    )


def test_claim_10_7_vllm_needs_room_for_one_request_of_full_length_in_the_part_that_it_may_use() -> None:
    found = forecast(experiment(backend="vllm"), files(), 1)
    assert (found.least_kv_bytes, found.share) == (131072 * KV_PER_TOKEN, 0.9)
    engine = {"max_model_len": 4096, "gpu_memory_utilization": 0.5, "kv_cache_dtype": "fp8"}
    found = forecast(experiment(backend="vllm", vllm={"engine": engine}), files(), 1)
    assert (found.least_kv_bytes, found.share) == (4096 * KV_PER_TOKEN // 2, 0.5)
    fixed = {"kv_cache_memory_bytes": GIB}
    found = forecast(experiment(backend="vllm", vllm={"engine": fixed}), files(), 1)
    assert (found.least_kv_bytes, found.share) == (GIB, 1.0)
    assert forecast(experiment(backend="vllm"), files(), 2).engine_bytes == 2 * 300 * MIB


def test_claim_10_7_fewer_bits_are_less_memory() -> None:
    whole = forecast(experiment(), files(), 1).weights_bytes
    four = forecast(experiment(pytorch={"load_in_4bit": True}), files(), 1).weights_bytes
    embeddings = 2 * 128256 * 4096 * 2
    assert four == pytest.approx((whole - embeddings) / 4 + embeddings, rel=1e-3)
    quantised = files({**LLAMA_8B, "quantization_config": {"quant_method": "awq"}}, 5 * GIB)
    assert forecast(experiment(backend="vllm"), quantised, 1).weights_bytes == 5 * GIB


def test_claim_10_7_layers_with_a_sliding_window_hold_no_more_than_that() -> None:
    mistral = {**LLAMA_8B, "model_type": "mistral", "sliding_window": 4096}
    assert forecast(experiment(backend="vllm"), files(mistral), 1).least_kv_bytes == 4096 * KV_PER_TOKEN


def test_claim_10_7_of_an_unknown_family_the_files_count_and_no_more_is_claimed_than_is_known() -> None:
    unknown = {"model_type": "new", "torch_dtype": "float16"}
    found = forecast(experiment(precision="fp32", backend="vllm"), files(unknown, 10 * GIB), 1)
    assert (found.weights_bytes, found.least_kv_bytes) == (20 * GIB, 0)


def test_a_model_that_sees_counts_by_its_text_part() -> None:
    seeing = {"model_type": "llava", "text_config": LLAMA_8B}
    assert forecast(experiment(), files(seeing), 1) == forecast(experiment(), files(), 1)
