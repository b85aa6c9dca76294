"""Operations by the formula: worked by hand for each kind of layer, and what cannot be counted is not."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner.backends.protocol import RequestOutput
from llem_runner.contract.result import Compute
from llem_runner.metrics.architecture import Uncountable, shape_of
from llem_runner.metrics.flops import METHOD, Arithmetic, compute_of, flops_of, pairs, request_flops

TINY = {
    "vocab_size": 100,
    "hidden_size": 8,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
GQA = {**TINY, "model_type": "llama", "num_key_value_heads": 2}
MOE = {**TINY, "model_type": "mixtral", "num_key_value_heads": 2, "num_local_experts": 6, "num_experts_per_tok": 2}
SHARED = {
    **TINY,
    "model_type": "qwen2_moe",
    "num_experts": 6,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 5,
    "shared_expert_intermediate_size": 10,
}


@pytest.mark.parametrize(
    ("config", "active", "stored"),
    [
        # 4 heads of width 2. Queries and output 8×8 each, keys and values 8×8 each; two matrices of 8×20.
        ({**TINY, "model_type": "phi"}, 4 * 64 + 2 * 160, 4 * 64 + 2 * 160),
        # A gated network has three of 8×20.
        ({**TINY, "model_type": "llama"}, 4 * 64 + 3 * 160, 4 * 64 + 3 * 160),
        # Two key-value heads: keys and values are 8×4.
        (GQA, 2 * 64 + 2 * 32 + 3 * 160, 2 * 64 + 2 * 32 + 3 * 160),
        # Heads of width 5: queries and output 8×20, keys and values 8×10.
        ({**GQA, "head_dim": 5}, 2 * 160 + 2 * 80 + 3 * 160, 2 * 160 + 2 * 80 + 3 * 160),
        # A router of 8×6 and two of six gated experts.
        (MOE, 2 * 64 + 2 * 32 + 48 + 2 * 480, 2 * 64 + 2 * 32 + 48 + 6 * 480),
        # Two of six gated experts of 8×5, one of 8×10 for all, behind a gate of 8×1.
        (SHARED, 4 * 64 + 48 + 2 * 120 + 240 + 8, 4 * 64 + 48 + 6 * 120 + 240 + 8),
    ],
    ids=["dense", "gated", "grouped-query", "wide-heads", "experts", "shared-expert"],
)
def test_claim_8_5_the_matrices_of_a_layer_are_those_worked_by_hand(
    config: dict[str, Any], active: int, stored: int
) -> None:
    shape = shape_of(config)
    assert [(layer.active, layer.stored) for layer in shape.layers] == [(active, stored)] * 2
    assert (shape.head, shape.lookups) == (800, 800)
    assert shape.active == 2 * active + 800
    assert shape.stored == 2 * stored + 1600
    assert shape_of({**config, "tie_word_embeddings": True}).stored == 2 * stored + 800


def test_claim_8_5_the_work_of_a_request_is_the_one_worked_by_hand() -> None:
    # 672 elements a layer, 2 layers, pairs cost 2 × 4 heads × width 2 = 16 multiply-adds a layer, logits 800.
    flops = request_flops(shape_of(GQA), Arithmetic(GQA), given=5, cached=0, made=3)
    assert flops.prefill == 2 * (1344 * 5 + 2 * 16 * (1 + 2 + 3 + 4 + 5) + 800)
    assert flops.decode == 2 * (1344 * 2 + 2 * 16 * (6 + 7) + 2 * 800)
    assert flops.total == flops.prefill + flops.decode


def published(hidden: int, layers: int, heads: int, vocabulary: int, **keys: Any) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "vocab_size": vocabulary,
        **keys,
    }


PUBLISHED: dict[str, tuple[dict[str, Any], float, float | None]] = {
    "Llama-3.1-8B": (
        published(4096, 32, 32, 128256, model_type="llama", intermediate_size=14336, num_key_value_heads=8),
        8.03e9,
        None,
    ),
    "Qwen2.5-7B": (
        published(3584, 28, 28, 152064, model_type="qwen2", intermediate_size=18944, num_key_value_heads=4),
        7.62e9,
        None,
    ),
    "Mixtral-8x7B": (
        published(4096, 32, 32, 32000, intermediate_size=14336, num_key_value_heads=8)
        | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2},
        46.7e9,
        12.9e9,
    ),
    "Qwen3-30B-A3B": (
        published(2048, 48, 32, 151936, intermediate_size=6144, num_key_value_heads=4, head_dim=128)
        | {"model_type": "qwen3_moe", "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
        30.5e9,
        3.3e9,
    ),
    "pythia-6.9b": (published(4096, 32, 32, 50432, model_type="gpt_neox", intermediate_size=16384), 6.86e9, None),
    "opt-350m": (
        published(1024, 24, 16, 50272, model_type="opt", ffn_dim=4096, word_embed_proj_dim=512)
        | {"max_position_embeddings": 2048},
        331e6,
        None,
    ),
    "gpt2": (
        {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257, "n_positions": 1024},
        124.4e6,
        None,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_claim_8_5_published_models_have_their_published_parameters(name: str) -> None:
    config, stored, active = PUBLISHED[name]
    shape = shape_of(config)
    assert shape.stored == pytest.approx(stored, rel=0.01)
    # Those who publish active parameters count the embedding with them.
    assert active is None or shape.active + shape.lookups == pytest.approx(active, rel=0.02)


@pytest.mark.parametrize(
    ("how", "cached", "prefill", "decode"),
    [
        ({"logits_of_all_inputs": True}, 0, 1344 * 5 + 32 * 15 + 5 * 800, 1344 * 2 + 32 * 13 + 2 * 800),
        ({}, 3, 1344 * 2 + 32 * (4 + 5) + 800, 1344 * 2 + 32 * 13 + 2 * 800),
        ({"beams": 4}, 0, 1344 * 5 + 32 * 15 + 800, 4 * (1344 * 2 + 32 * 13 + 2 * 800)),
        ({"kv_cache": False}, 0, 1344 * 5 + 32 * 15 + 800, 1344 * 13 + 32 * (21 + 28) + 2 * 800),
        ({"adapter_elements": 7}, 0, 1351 * 5 + 32 * 15 + 800, 1351 * 2 + 32 * 13 + 2 * 800),
    ],
    ids=["logits-of-all", "from-a-cache", "beams", "no-cache", "adapter"],
)
def test_claim_8_5_what_the_engine_does_with_a_request_changes_its_work(
    how: dict[str, Any], cached: int, prefill: int, decode: int
) -> None:
    flops = request_flops(shape_of(GQA), Arithmetic(GQA, **how), given=5, cached=cached, made=3)
    assert (flops.prefill, flops.decode) == (2 * prefill, 2 * decode)


def test_claim_8_5_a_query_sees_itself_and_all_before_it_or_its_window() -> None:
    assert pairs(0, 4) == 1 + 2 + 3 + 4
    assert pairs(2, 4) == 3 + 4
    assert pairs(0, 5, window=3) == 1 + 2 + 3 + 3 + 3
    assert pairs(4, 6, window=3) == 3 + 3
    assert pairs(1, 2, window=3) == 2
    assert pairs(4, 4) == 0


@pytest.mark.parametrize(
    ("config", "windows"),
    [
        ({"model_type": "mistral", "sliding_window": 4}, [4, 4]),
        ({"model_type": "mistral", "sliding_window": None}, [None, None]),
        ({"model_type": "qwen2", "sliding_window": 4, "use_sliding_window": False}, [None, None]),
        ({"model_type": "qwen2", "sliding_window": 4, "use_sliding_window": True, "max_window_layers": 1}, [None, 4]),
        (
            {"model_type": "gemma2", "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]},
            [4, None],
        ),
    ],
)
def test_claim_8_5_layers_have_the_window_that_the_configuration_gives_them(
    config: dict[str, Any], windows: list[int | None]
) -> None:
    assert [layer.window for layer in shape_of({**TINY, **config}).layers] == windows


def request(given: int, made: int, cached: int | None = 0) -> RequestOutput:
    return RequestOutput(tuple(range(made)), input_tokens=given, started_s=0.0, finished_s=1.0, cached_tokens=cached)


def test_claim_8_5_requests_add_up_and_rates_are_over_output_tokens_and_the_window() -> None:
    shape, how = shape_of(GQA), Arithmetic(GQA)
    requests = [request(5, 3), request(5, 3), request(9, 1), request(4, 0)]
    single = [request_flops(shape, how, one.input_tokens, 0, len(one.token_ids)).total for one in requests]
    assert flops_of(shape, how, requests).total == sum(single)
    compute, reason = compute_of(how, shape.stored, requests, window_s=2.0)
    assert reason is None
    assert compute.method == METHOD
    assert (compute.parameters, compute.active_parameters) == (shape.stored, shape.active)
    assert compute.flops_total == sum(single) == (compute.flops_prefill or 0) + (compute.flops_decode or 0)
    assert compute.flops_per_output_token == sum(single) / 7
    assert compute.flops_per_s == sum(single) / 2


def test_claim_8_5_zero_output_tokens_have_work_and_none_of_it_is_per_token() -> None:
    compute, _ = compute_of(Arithmetic(GQA), None, [request(5, 0)], 1.0)
    assert compute.flops_decode == 0.0
    assert compute.flops_per_output_token is None
    assert compute.flops_total is not None


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("another-family", {"model_type": "mamba"}, "models of type mamba are not known"),
    ("no-family", {"model_type": None}, "models of type None are not known"),
    ("latent", {"model_type": "deepseek_v3"}, "latent attention"),
    ("a-size-missing", {"intermediate_size": None}, "has no intermediate_size"),
    ("a-size-of-text", {"num_hidden_layers": "2"}, "num_hidden_layers is 2"),
    ("linear-attention", {"layer_types": ["linear_attention", "full_attention"]}, "layers of type linear_attention"),
    ("no-window", {"layer_types": ["sliding_attention", "full_attention"]}, "sliding_window None"),
    ("which-layers", {"model_type": "gemma2", "sliding_window": 4}, "does not say which layers"),
    ("both-ways", {"model_type": "gemma", "use_bidirectional_attention": True}, "looks ahead"),
    ("experts-chosen", {"model_type": "mixtral", "num_local_experts": 6}, "has no num_experts_per_tok"),
]


@pytest.mark.parametrize(("changes", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_claim_8_5_what_is_not_known_is_refused_with_the_reason(changes: dict[str, Any], words: str) -> None:
    config = {**GQA, **changes}
    with pytest.raises(Uncountable, match=words):
        shape_of(config)
    compute, reason = compute_of(Arithmetic(config), 1000, [request(5, 3)], 1.0)
    assert compute == Compute(parameters=1000)
    assert reason is not None
    assert words in reason


@pytest.mark.parametrize(
    ("arithmetic", "parameters", "cached", "words"),
    [
        (None, 1000, 0, "does not tell the sizes"),
        (Arithmetic(GQA, unclear="an adapter of the experts"), None, 0, "an adapter of the experts"),
        (Arithmetic(GQA), 4000, 0, "4000 parameters where its configuration makes 2944"),
        (Arithmetic(GQA), 2944, None, "came from a cache"),
    ],
    ids=["no-sizes", "unclear", "other-parameters", "cache-unknown"],
)
def test_claim_8_5_no_number_where_a_part_is_unknown_or_contradicts_the_model(
    arithmetic: Arithmetic | None, parameters: int | None, cached: int | None, words: str
) -> None:
    compute, reason = compute_of(arithmetic, parameters, [request(5, 3, cached)], 1.0)
    assert compute == Compute(parameters=parameters)
    assert reason is not None
    assert words in reason
