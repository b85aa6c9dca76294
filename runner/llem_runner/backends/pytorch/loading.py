"""Model folder → model on its device: dtype, attention, quantisation, dummy weights, LoRA, compilation."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from llem_runner.backends.failures import backend_failure, failing_as
from llem_runner.backends.pytorch.passthrough import Passthrough
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.contract.engines import PytorchConfig
from llem_runner.contract.sections import LoraConfig
from llem_runner.workload.model_failure import missing_tensors, model_failure

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
STATIC_CACHES = ("static", "offloaded_static")


def load_model(
    model_path: str, config: ExperimentConfig, model_config: Any, device: str, passthrough: Passthrough
) -> Any:
    """The model in evaluation mode on its device. Raises `RunFailed` of kind backend, model or accelerator_oom."""
    section = config.pytorch or PytorchConfig()
    for name, value in passthrough.model_config.items():
        setattr(model_config, name, value)
    arguments: dict[str, Any] = {"config": model_config, "dtype": DTYPES[config.precision], **passthrough.loading}
    if section.attn_implementation:
        arguments["attn_implementation"] = section.attn_implementation
    if section.device_map is not None or device != "cpu":
        arguments["device_map"] = {"": device} if section.device_map is None else section.device_map
    if section.max_memory is not None:
        arguments["max_memory"] = max_memory_by_device(section.max_memory)
    if section.load_in_4bit or section.load_in_8bit:
        arguments["quantization_config"] = _quantization(section, device, config.weights)
    with failing_as(lambda error: model_failure("Loading", model_path, error)):
        if config.weights == "dummy":
            return _random_model(config, model_config, arguments)
        return _trained_model(model_path, config, arguments)


def _trained_model(model_path: str, config: ExperimentConfig, arguments: dict[str, Any]) -> Any:
    model, report = AutoModelForCausalLM.from_pretrained(
        model_path,
        revision=config.revision,
        trust_remote_code=config.trust_remote_code,
        output_loading_info=True,
        **arguments,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise missing_tensors(model_path, missing)
    return model


def _random_model(config: ExperimentConfig, model_config: Any, arguments: dict[str, Any]) -> Any:
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(model_config, trust_remote_code=config.trust_remote_code)
    # With an empty state dict all weights are "missing": they are drawn from the model's own initialisation, in
    # place, on the device (or devices) where a real checkpoint would be put.
    return type(empty).from_pretrained(None, state_dict={}, **arguments)


def _quantization(section: PytorchConfig, device: str, weights: str) -> Any:
    if device == "cpu":
        raise RunFailed(
            FailureKind.BACKEND,
            "pytorch.load_in_4bit and load_in_8bit need a CUDA GPU (bitsandbytes); this run computes on the CPU.",
        )
    if weights == "dummy":
        raise RunFailed(FailureKind.BACKEND, "Dummy weights cannot be quantised: use weights: real.")
    from transformers import BitsAndBytesConfig

    options = {
        "bnb_4bit_compute_dtype": section.bnb_4bit_compute_dtype,
        "bnb_4bit_quant_type": section.bnb_4bit_quant_type,
        "bnb_4bit_use_double_quant": section.bnb_4bit_use_double_quant,
    }
    with failing_as(lambda error: backend_failure("Quantisation", error)):
        # A clear error now rather than one from deep inside loading.
        importlib.import_module("bitsandbytes")
        return BitsAndBytesConfig(
            load_in_4bit=bool(section.load_in_4bit),
            load_in_8bit=bool(section.load_in_8bit),
            **{name: value for name, value in options.items() if value is not None},
        )


def add_lora(model: Any, lora: LoraConfig, adapter_path: str | None) -> Any:
    """`model` with the LoRA adapter active in its layers, merged into the weights where asked.

    Raises `RunFailed` of kind backend without peft, of kind model for an adapter that is none or does not fit.
    """
    source = adapter_path or lora.adapter_path or lora.adapter_id
    try:
        from peft import PeftConfig, PeftModel
    except ImportError as error:
        raise RunFailed(
            FailureKind.BACKEND, "LoRA adapters need peft, which is not here: pip install 'llem[lora]'."
        ) from error
    with failing_as(lambda error: model_failure("Loading the LoRA adapter", str(source), error)):
        kind = PeftConfig.from_pretrained(source).peft_type
        if kind != "LORA":
            raise RunFailed(FailureKind.MODEL, f"{source} is an adapter of type {kind}; only LoRA is supported.")
        # Without autocast the adapter computes in the model's own precision, as a merged one does.
        adapted = PeftModel.from_pretrained(model, source, is_trainable=False, autocast_adapter_dtype=False)
        # The adapter lives inside the base model's layers: the wrapper around it is only a cost per call.
        return adapted.merge_and_unload() if lora.merge_weights else adapted.get_base_model()


def compile_settings(section: PytorchConfig) -> dict[str, Any]:
    """What `torch.compile` is called with; its own defaults where the experiment names nothing."""
    settings: dict[str, Any] = {"mode": section.torch_compile_mode}
    return settings | ({"backend": section.torch_compile_backend} if section.torch_compile_backend else {})


def max_memory_by_device(limits: dict[str, Any]) -> dict[Any, Any]:
    """`{"0": "20GiB", "cpu": …}` with GPU indices as the integers that accelerate wants (a mapping's keys are text)."""
    return {int(name) if str(name).isdigit() else name: limit for name, limit in limits.items()}
