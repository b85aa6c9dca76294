"""The sections that belong to one backend each. A key left out keeps the engine's own default."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from llem_runner.contract.strict import Flag, Frozen, Number, Text, Whole

_ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")


def _known_attention(value: str) -> str:
    # A name with a slash is a kernel repository, which transformers resolves itself.
    if "/" not in value and value not in _ATTENTION:
        raise ValueError(f"is none of {', '.join(_ATTENTION)} (or a kernel repository owner/name)")
    return value


PositiveWhole = Annotated[Whole, Field(ge=1)]
NaturalNumber = Annotated[Whole, Field(ge=0)]
AnyMapping = dict[str, Any]
BatchOrder = Literal["as_written", "by_length"]


class PytorchConfig(Frozen):
    """transformers on PyTorch."""

    batch_size: PositiveWhole = 1
    batch_order: BatchOrder = "as_written"
    attn_implementation: Annotated[Text, AfterValidator(_known_attention)] | None = None
    torch_compile: Flag = False
    torch_compile_mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] | None = (
        None
    )
    torch_compile_backend: Text | None = None
    load_in_4bit: Flag | None = None
    load_in_8bit: Flag | None = None
    bnb_4bit_compute_dtype: Literal["float32", "float16", "bfloat16"] | None = None
    bnb_4bit_quant_type: Literal["fp4", "nf4"] | None = None
    bnb_4bit_use_double_quant: Flag | None = None
    use_cache: Flag = True
    cache_implementation: Literal["dynamic", "static", "offloaded", "offloaded_static", "quantized"] | None = None
    num_beams: PositiveWhole = 1
    early_stopping: Flag | Literal["never"] | None = None
    length_penalty: Number | None = None
    no_repeat_ngram_size: NaturalNumber | None = None
    prompt_lookup_num_tokens: PositiveWhole | None = None
    device_map: Text | AnyMapping | None = None
    max_memory: AnyMapping | None = None
    num_processes: PositiveWhole = 1


class VllmEngineConfig(Frozen):
    """Arguments of `vllm.LLM`."""

    gpu_memory_utilization: Annotated[Number, Field(gt=0, le=1)] | None = None
    cpu_offload_gb: Annotated[Number, Field(ge=0)] | None = None
    block_size: PositiveWhole | None = None
    kv_cache_dtype: Text | None = None
    enforce_eager: Flag | None = None
    enable_chunked_prefill: Flag | None = None
    max_num_seqs: PositiveWhole | None = None
    max_num_batched_tokens: PositiveWhole | None = None
    max_model_len: PositiveWhole | None = None
    tensor_parallel_size: PositiveWhole | None = None
    pipeline_parallel_size: PositiveWhole | None = None
    enable_prefix_caching: Flag | None = None
    quantization: Text | None = None
    speculative_config: AnyMapping | None = None
    disable_custom_all_reduce: Flag | None = None
    kv_cache_memory_bytes: PositiveWhole | None = None
    compilation_config: AnyMapping | None = None
    attention: AnyMapping | None = None


class VllmSamplingConfig(Frozen):
    """Arguments of `vllm.SamplingParams` beyond the shared `decoder` keys."""

    max_tokens: PositiveWhole | None = None
    min_tokens: NaturalNumber | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    n: PositiveWhole | None = None


class VllmBeamSearchConfig(Frozen):
    """Arguments of `LLM.beam_search`."""

    beam_width: PositiveWhole | None = None
    length_penalty: Number | None = None
    early_stopping: Flag | None = None
    max_tokens: PositiveWhole | None = None


class VllmConfig(Frozen):
    """vLLM, offline."""

    engine: VllmEngineConfig = VllmEngineConfig()
    sampling: VllmSamplingConfig = VllmSamplingConfig()
    beam_search: VllmBeamSearchConfig | None = None


BACKEND_SECTIONS: dict[str, type[Frozen]] = {"pytorch": PytorchConfig, "vllm": VllmConfig}
"""Backend name → its section. A backend is added to the contract here and in `experiment.py`."""
