"""ExperimentConfig → the arguments of `vllm.LLM`, and where each of `passthrough_kwargs` goes. Pure.

Names that the installed vLLM knows come in as arguments, so that one which it lacks is told with its version instead
of being dropped: `LLM` drops unknown names inside `compilation_config` and `attention_config` silently.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.contract.engines import VllmConfig, VllmEngineConfig

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
WORKER_EXTENSION = "llem_runner.backends.vllm.worker.Extension"
_OTHER_NAMES = {"attention": "attention_config"}
"""Keys of `vllm.engine` that vLLM calls otherwise."""
_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for `max_lora_rank`."""

_SET_BY_US = frozenset({"disable_log_stats", "generation_config", "worker_extension_cls", "output_kind", "skip_clone"})
_OWN_KEY = {
    "model": "model",
    "tokenizer": "model",
    "skip_tokenizer_init": "model",
    "revision": "revision",
    "tokenizer_revision": "revision",
    "trust_remote_code": "trust_remote_code",
    "dtype": "precision",
    "seed": "random_seed",
    "override_generation_config": "decoder",
    "enable_lora": "lora",
    "temperature": "decoder.temperature",
    "top_k": "decoder.top_k",
    "top_p": "decoder.top_p",
    "min_p": "decoder.min_p",
    "repetition_penalty": "decoder.repetition_penalty",
    "ignore_eos": "output_length",
    "stop_token_ids": "output_length",
    "max_tokens": "max_output_tokens",
    "min_tokens": "decoder.min_new_tokens",
    "n": "vllm.sampling.n",
    "presence_penalty": "vllm.sampling.presence_penalty",
    "frequency_penalty": "vllm.sampling.frequency_penalty",
    **{_OTHER_NAMES.get(name, name): f"vllm.engine.{name}" for name in VllmEngineConfig.model_fields},
}


@dataclass(frozen=True)
class KnownNames:
    """What the installed vLLM takes: names of `EngineArgs` and `SamplingParams`, and those inside mappings."""

    version: str
    engine: Collection[str]
    sampling: Collection[str]
    inside: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Passthrough:
    """`passthrough_kwargs`, sorted by who takes them."""

    engine: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)


def engine_arguments(
    config: ExperimentConfig, model_path: str, adapter_rank: int | None, known: KnownNames
) -> dict[str, Any]:
    """What `vllm.LLM` is called with; `adapter_rank` is that of the LoRA adapter, None without one.

    Keys that the experiment leaves unset are left out: the engine's own defaults stay. Raises `RunFailed` of kind
    backend for a name that this vLLM does not know.
    """
    section = config.vllm or VllmConfig()
    arguments: dict[str, Any] = {
        "model": model_path,
        "trust_remote_code": config.trust_remote_code,
        "dtype": DTYPES[config.precision],
        "seed": config.random_seed,
        "generation_config": "vllm",
        "disable_log_stats": False,
        "worker_extension_cls": WORKER_EXTENSION,
    }
    if config.revision is not None:
        arguments |= {"revision": config.revision, "tokenizer_revision": config.revision}
    if config.weights == "dummy":
        arguments["load_format"] = "dummy"
    if adapter_rank is not None:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": _lora_rank(adapter_rank)}
    for name, value in section.engine.model_dump(exclude_none=True).items():
        arguments[_OTHER_NAMES.get(name, name)] = value
    beams = section.beam_search.beam_width if section.beam_search else None
    if beams and "max_logprobs" in known.engine:
        # A step of beam search asks for the 2 · width best tokens; vLLM gives 20 unless it is told otherwise.
        arguments["max_logprobs"] = max(20, 2 * beams)
    arguments |= sort_passthrough(config, known).engine
    _refuse_unknown(arguments, known)
    return arguments


def sort_passthrough(config: ExperimentConfig, known: KnownNames) -> Passthrough:
    """`passthrough_kwargs` by who takes them. Raises `RunFailed` of kind backend for a name that nobody takes."""
    sorted_kwargs = Passthrough()
    for name, value in config.passthrough_kwargs.items():
        if name in _SET_BY_US:
            raise _refused(name, "is set by the backend itself.")
        if name in _OWN_KEY:
            raise _refused(name, f"has a key of its own: {_OWN_KEY[name]}.")
        if name == "load_format" and config.weights == "dummy":
            raise _refused(name, "contradicts weights: dummy.")
        if name in known.engine:
            sorted_kwargs.engine[name] = value
        elif name in known.sampling and not name.startswith("_"):
            sorted_kwargs.sampling[name] = value
        else:
            raise _refused(name, f"is no argument of vLLM {known.version}, neither of its engine nor of its sampling.")
    return sorted_kwargs


def _refuse_unknown(arguments: Mapping[str, Any], known: KnownNames) -> None:
    for name, value in arguments.items():
        if name not in known.engine:
            raise RunFailed(FailureKind.BACKEND, f"vLLM {known.version} has no engine argument {name}.")
        if isinstance(value, Mapping) and name in known.inside:
            for key in value:
                if key not in known.inside[name]:
                    raise RunFailed(FailureKind.BACKEND, f"vLLM {known.version} has no {name}.{key}.")


def _lora_rank(rank: int) -> int:
    return next((each for each in _LORA_RANKS if each >= rank), rank)


def _refused(name: str, why: str) -> RunFailed:
    return RunFailed(FailureKind.BACKEND, f"passthrough_kwargs.{name} {why}")
