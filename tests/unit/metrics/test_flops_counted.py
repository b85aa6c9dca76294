"""The formula against torch's own counter of operations, on small models of every family that it knows.

torch counts matrix products as they are made: with eager attention those of prefill are whole squares, of which half
lies in the future and is masked away. That half, which the formula leaves out, is added before the two are compared;
decoding with a cache has no such half, and is compared as it is.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from llem_runner.metrics.architecture import Shape, shape_of
from llem_runner.metrics.flops import Arithmetic, pairs, request_flops

SIZES = {
    "vocab_size": 512,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
GROUPED = {"num_key_value_heads": 2}
EXPERTS = {"num_experts_per_tok": 3, "moe_intermediate_size": 48, "experts_implementation": "eager"}
MODELS: dict[str, dict[str, Any]] = {
    "llama": {**GROUPED},
    "llama-tied": {"tie_word_embeddings": True},
    "mistral": {**GROUPED, "sliding_window": 8},
    "qwen2": {**GROUPED},
    "qwen2-sliding": {**GROUPED, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
    "qwen3": {**GROUPED, "head_dim": 32},
    "gemma": {**GROUPED, "head_dim": 32},
    "gemma2": {**GROUPED, "head_dim": 32, "sliding_window": 8},
    "gemma3_text": {**GROUPED, "head_dim": 32, "sliding_window": 8},
    "phi": {**GROUPED},
    "phi3": {**GROUPED},
    "olmo2": {**GROUPED},
    "smollm3": {**GROUPED},
    "gpt_neox": {},
    "gpt2": {"n_inner": None},
    "opt": {"ffn_dim": 256, "word_embed_proj_dim": 96},
    "opt-projected": {"ffn_dim": 256, "word_embed_proj_dim": 48, "do_layer_norm_before": False},
    "falcon": {"multi_query": True},
    "falcon-many": {"multi_query": False},
    "falcon-new": {"new_decoder_architecture": True, "num_kv_heads": 2},
    "mixtral": {**GROUPED, "num_local_experts": 5, "num_experts_per_tok": 2, "experts_implementation": "eager"},
    "qwen2_moe": {**GROUPED, **EXPERTS, "num_experts": 8, "shared_expert_intermediate_size": 64},
    "qwen2_moe-mixed": {**GROUPED, **EXPERTS, "num_experts": 8, "decoder_sparse_step": 2, "mlp_only_layers": [0]},
    "qwen3_moe": {**GROUPED, **EXPERTS, "num_experts": 8, "head_dim": 32},
}
GIVEN, STEPS = 24, 5


def model_of(name: str) -> Any:
    config = AutoConfig.for_model(name.split("-")[0], **{**SIZES, **MODELS[name]})
    config._attn_implementation = "eager"
    config._experts_implementation = MODELS[name].get("experts_implementation", None)
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def counted(model: Any) -> tuple[int, int]:
    """What torch counts in the prefill of one prompt, and in some steps of decoding after it."""
    ids = torch.arange(GIVEN).reshape(1, -1)
    with torch.no_grad():
        with FlopCounterMode(display=False) as prefill:
            output = model(ids, use_cache=True, logits_to_keep=1)
        with FlopCounterMode(display=False) as decode:
            for _ in range(STEPS):
                token = output.logits[:, -1:].argmax(-1)
                output = model(token, past_key_values=output.past_key_values, use_cache=True, logits_to_keep=1)
    return prefill.get_total_flops(), decode.get_total_flops()


def masked_flops(shape: Shape) -> int:
    """The half of eager attention's squares that is masked away, or lies behind the sliding window."""
    return sum(2 * layer.pair_width * (GIVEN**2 - pairs(0, GIVEN, layer.window)) for layer in shape.layers)


@pytest.mark.parametrize("name", MODELS)
def test_claim_8_5_the_formula_counts_what_torch_counts_within_one_percent(name: str) -> None:
    model = model_of(name)
    config = model.config.get_text_config(decoder=True).to_dict()
    shape = shape_of(config)
    flops = request_flops(shape, Arithmetic(config), GIVEN, 0, STEPS + 1)
    prefill, decode = counted(model)
    assert flops.prefill + masked_flops(shape) == pytest.approx(prefill, rel=0.01)
    assert flops.decode == pytest.approx(decode, rel=0.01)
    # Norms and biases weigh more in a model this small.
    assert shape.stored == pytest.approx(model.num_parameters(), rel=0.04)


def test_claim_8_5_without_a_cache_every_token_is_a_prefill_of_all_before_it() -> None:
    model = model_of("llama")
    config = model.config.to_dict()
    shape = shape_of(config)
    total = 0
    with torch.no_grad():
        for length in range(GIVEN, GIVEN + 3):
            with FlopCounterMode(display=False) as counter:
                model(torch.arange(length).reshape(1, -1), use_cache=False)
            total += counter.get_total_flops()
    masked = sum(
        2 * layer.pair_width * (length**2 - pairs(0, length))
        for layer in shape.layers
        for length in range(GIVEN, GIVEN + 3)
    )
    how = Arithmetic(config, logits_of_all_inputs=True, kv_cache=False)
    assert request_flops(shape, how, GIVEN, 0, 3).total + masked == pytest.approx(total, rel=0.01)
