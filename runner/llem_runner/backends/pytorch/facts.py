"""What was really loaded and how it computes, for the result."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import torch

from llem_runner.backends.facts import stop_token_warnings, torch_build
from llem_runner.backends.protocol import BackendFacts
from llem_runner.backends.pytorch.arithmetic import arithmetic_of
from llem_runner.backends.pytorch.generation import Generator
from llem_runner.backends.pytorch.loading import compile_settings
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.engines import PytorchConfig
from llem_runner.environment import installed_versions

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "peft", "bitsandbytes", "numpy")
_SHAPE = (
    "model_type",
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "tie_word_embeddings",
    "num_local_experts",
    "num_experts_per_tok",
)


def facts_of(
    config: ExperimentConfig, generator: Generator, device: str, stop_token_ids: tuple[int, ...], files: dict[str, Any]
) -> BackendFacts:
    """What `generator` computes with; `files` are those that it was loaded from (`backends.facts.model_files`)."""
    model = generator.model
    devices = sorted(devices_of(model))
    return BackendFacts(
        name="pytorch",
        version=metadata.version("transformers"),
        device_used=",".join(devices),
        effective=_effective(config, generator),
        packages=installed_versions(*_PACKAGES),
        parameters=int(model.num_parameters()),
        model_bytes=int(model.get_memory_footprint()),
        stop_token_ids=stop_token_ids,
        warnings=_warnings(config, generator, device, devices, stop_token_ids),
        arithmetic=arithmetic_of(model, generator.settings),
        model=files,
        notes={
            "architecture": shape_of(model.config),
            "torch": torch_build(),
        },
        processes_per_gpu=1 if any(name.startswith("cuda") for name in devices) else 0,
    )


def devices_of(model: Any) -> set[str]:
    """Devices that hold the model's parameters; `meta` stands for parameters offloaded to memory or disk."""
    return {str(parameter.device) for parameter in model.parameters()}


def shape_of(model_config: Any) -> dict[str, Any]:
    """The dimensions that a count of floating-point operations needs, as far as the configuration names them."""
    text_config = model_config.get_text_config(decoder=True)
    values = {name: getattr(text_config, name, None) for name in _SHAPE}
    return {name: value for name, value in values.items() if value is not None}


def compiled_graphs() -> int:
    """Graphs that torch.compile has made so far in this process."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def _effective(config: ExperimentConfig, generator: Generator) -> dict[str, Any]:
    section, model = config.pytorch or PytorchConfig(), generator.model
    return {
        "batch_size": generator.batch_size,
        "batch_order": generator.batch_order,
        "dtype": str(model.dtype).removeprefix("torch."),
        "attn_implementation": getattr(model.config, "_attn_implementation", None),
        "device_map": {name: str(place) for name, place in getattr(model, "hf_device_map", {}).items()} or None,
        "generation": dict(generator.settings),
        "torch_compile": compile_settings(section) if section.torch_compile else None,
        "quantization": "4bit" if section.load_in_4bit else "8bit" if section.load_in_8bit else None,
        "cpu_threads": torch.get_num_threads(),
    }


def _warnings(
    config: ExperimentConfig, generator: Generator, device: str, devices: list[str], stop_token_ids: tuple[int, ...]
) -> tuple[tuple[str, str], ...]:
    found = stop_token_warnings(config, stop_token_ids)
    offloaded = [name for name in devices if not name.startswith("cuda")]
    if device.startswith("cuda") and offloaded:
        found.append(
            ("weights_offloaded", f"Part of the model does not lie on a GPU ({', '.join(offloaded)}): it is slower so.")
        )
    context = getattr(generator.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    needed = generator.longest_input + config.output_limit
    if context is not None and needed > context:
        message = f"Requests are up to {needed} tokens long, the model's context is {context}: its answers lose sense."
        found.append(("context_exceeded", message))
    return tuple(found)
