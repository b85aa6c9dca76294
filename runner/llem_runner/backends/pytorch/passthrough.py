"""Where each of `passthrough_kwargs` goes: to loading, to the model's configuration, or to generation.

Decided by transformers' own names: an attribute of `GenerationConfig` steers generation, a parameter of
`from_pretrained` loading, and an attribute of the model's configuration changes that configuration. Anything else is
an error that names it, and so is a key that the experiment has of its own or that would break exact token counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from llem_runner.contract import FailureKind, RunFailed

_OWN_KEY = {
    "attn_implementation": "pytorch.attn_implementation",
    "cache_implementation": "pytorch.cache_implementation",
    "compile_config": "pytorch.torch_compile",
    "device_map": "pytorch.device_map",
    "disable_compile": "pytorch.torch_compile",
    "do_sample": "decoder.do_sample",
    "dtype": "precision",
    "early_stopping": "pytorch.early_stopping",
    "eos_token_id": "output_length",
    "length_penalty": "pytorch.length_penalty",
    "load_in_4bit": "pytorch.load_in_4bit",
    "load_in_8bit": "pytorch.load_in_8bit",
    "max_length": "max_output_tokens",
    "max_memory": "pytorch.max_memory",
    "max_new_tokens": "max_output_tokens",
    "min_length": "decoder.min_new_tokens",
    "min_new_tokens": "decoder.min_new_tokens",
    "min_p": "decoder.min_p",
    "no_repeat_ngram_size": "pytorch.no_repeat_ngram_size",
    "num_beams": "pytorch.num_beams",
    "prompt_lookup_num_tokens": "pytorch.prompt_lookup_num_tokens",
    "repetition_penalty": "decoder.repetition_penalty",
    "revision": "revision",
    "temperature": "decoder.temperature",
    "top_k": "decoder.top_k",
    "top_p": "decoder.top_p",
    "torch_dtype": "precision",
    "trust_remote_code": "trust_remote_code",
    "use_cache": "pytorch.use_cache",
}
_UNCOUNTABLE = frozenset(
    {
        "max_time",
        "num_return_sequences",
        "output_attentions",
        "output_hidden_states",
        "output_logits",
        "output_scores",
        "return_dict_in_generate",
        "stop_strings",
    }
)
"""They end a request without a stop token or change what `generate` returns: its tokens could not be counted."""

_OURS = frozenset({"config", "generation_config", "output_loading_info", "state_dict"})
"""Parameters of loading that the backend itself fills."""

_UNSIGNED_LOADING = frozenset(
    {
        "adapter_kwargs",
        "allow_all_kernels",
        "experts_implementation",
        "gguf_file",
        "kernel_config",
        "key_mapping",
        "offload_buffers",
        "offload_folder",
        "quantization_config",
        "subfolder",
        "tp_plan",
        "tp_size",
        "use_kernels",
        "variant",
    }
)
"""Documented parameters of `from_pretrained` that its signature hides behind `**kwargs`."""


@dataclass(frozen=True)
class Passthrough:
    """`passthrough_kwargs`, sorted by who takes them."""

    loading: dict[str, Any] = field(default_factory=dict)
    model_config: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)


def sort_passthrough(
    kwargs: Mapping[str, Any],
    generation_names: Collection[str],
    loading_names: Collection[str],
    config_names: Collection[str],
) -> Passthrough:
    """`kwargs` by who takes them; the names known to each taker come in. Raises `RunFailed` of kind backend."""
    sorted_kwargs = Passthrough()
    for name, value in kwargs.items():
        _refuse_reserved(name)
        if name in generation_names:
            sorted_kwargs.generation[name] = value
        elif name in loading_names:
            sorted_kwargs.loading[name] = value
        elif name in config_names:
            sorted_kwargs.model_config[name] = value
        else:
            raise _refused(name, "is no parameter of transformers' loading, generation or this model's configuration.")
    return sorted_kwargs


def names_known_to_transformers() -> tuple[frozenset[str], frozenset[str]]:
    """Names that generation takes, and names that loading takes, as the installed transformers has them."""
    from transformers import GenerationConfig, PreTrainedModel

    generation = frozenset(name for name in vars(GenerationConfig()) if not name.startswith("_"))
    signature = inspect.signature(PreTrainedModel.from_pretrained).parameters.values()
    named = {parameter.name for parameter in signature if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
    return generation, (frozenset(named) | _UNSIGNED_LOADING) - _OURS


def _refuse_reserved(name: str) -> None:
    if name in _OWN_KEY:
        raise _refused(name, f"has a key of its own: {_OWN_KEY[name]}.")
    if name in _UNCOUNTABLE:
        raise _refused(name, "is not allowed: output tokens could no longer be counted exactly.")
    if name in _OURS:
        raise _refused(name, "is set by the backend itself.")


def _refused(name: str, why: str) -> RunFailed:
    return RunFailed(FailureKind.BACKEND, f"passthrough_kwargs.{name} {why}")
