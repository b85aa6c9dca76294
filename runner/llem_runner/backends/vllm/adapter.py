"""A LoRA adapter's folder → what vLLM is asked for with each request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem_runner.contract import FailureKind, RunFailed
from llem_runner.contract.sections import LoraConfig
from llem_runner.workload.model_failure import model_failure


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter as its files describe it; `elements` are those of its matrices."""

    path: str
    rank: int
    elements: int

    def request(self) -> Any:
        """vLLM's `LoRARequest`."""
        from vllm.lora.request import LoRARequest

        return LoRARequest("adapter", 1, self.path)


def read_adapter(lora: LoraConfig, adapter_path: str | None) -> Adapter:
    """Raises `RunFailed` of kind model for a folder that holds no LoRA adapter."""
    path = adapter_path or lora.adapter_path or str(lora.adapter_id)
    try:
        settings = json.loads((Path(path) / "adapter_config.json").read_text())
        kind, rank = settings.get("peft_type"), int(settings["r"])
        if kind != "LORA":
            raise RunFailed(FailureKind.MODEL, f"{path} is an adapter of type {kind}; only LoRA is supported.")
        return Adapter(path, rank, _elements(Path(path) / "adapter_model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise model_failure("Loading the LoRA adapter", path, error) from error


def _elements(weights: Path) -> int:
    from safetensors import safe_open

    with safe_open(str(weights), framework="pt") as opened:
        shapes = [opened.get_slice(name).get_shape() for name in opened.keys()]  # noqa: SIM118 - no mapping
    return sum(shape[0] * shape[1] for shape in shapes if len(shape) == 2)
