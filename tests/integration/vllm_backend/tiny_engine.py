"""What the tests of the vllm backend share: an experiment on the tiny model, and an adapter for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llem_runner.contract import ExperimentConfig

MOST = 12
ENDS_AN_ENGINE = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
"""vLLM leaves a connection of its own to the garbage collector when its engine ends."""


def experiment(model: Path, engine: dict[str, Any] | None = None, **keys: Any) -> ExperimentConfig:
    """An experiment in fp32 on the CPU with `MOST` output tokens, `engine` in `vllm.engine`, and `keys`."""
    section = {"engine": {"enforce_eager": True, "max_model_len": 256, "max_num_seqs": 4, **(engine or {})}}
    section |= keys.pop("vllm", {})
    defaults = {"backend": "vllm", "device": "cpu", "precision": "fp32", "max_output_tokens": MOST}
    return ExperimentConfig.model_validate({"model": str(model), **defaults, **keys, "vllm": section})


def make_adapter(model: Path, folder: Path, rank: int = 4) -> Path:
    """A LoRA adapter of `model` as peft writes it, on two matrices of each layer, large enough to be seen."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model)
    width, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    outputs = {"q_proj": width, "v_proj": head * config.num_key_value_heads}
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for layer in range(config.num_hidden_layers):
        for name, output in outputs.items():
            path = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{path}.lora_A.weight"] = torch.randn(rank, width, generator=generator)
            tensors[f"{path}.lora_B.weight"] = torch.randn(output, rank, generator=generator)
    folder.mkdir()
    save_file(tensors, str(folder / "adapter_model.safetensors"))
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "target_modules": list(outputs)}))
    return folder
