"""What the count of floating-point operations has to know of a transformers model, and of how `generate` runs it."""

from __future__ import annotations

import inspect
from typing import Any

from llem_runner.metrics.flops import Arithmetic

_ONCE_A_TOKEN = ("lora_A", "lora_B")


def arithmetic_of(model: Any, settings: dict[str, Any]) -> Arithmetic:
    """For `model`, answering with the generation `settings`."""
    elements, unclear = _adapter(model)
    return Arithmetic(
        model_config=model.config.get_text_config(decoder=True).to_dict(),
        # `generate` asks for the last position's logits of every model that can be asked.
        logits_of_all_inputs="logits_to_keep" not in inspect.signature(model.forward).parameters,
        kv_cache=bool(settings["use_cache"]),
        beams=int(settings["num_beams"]),
        adapter_elements=elements,
        unclear=unclear,
    )


def _adapter(model: Any) -> tuple[int, str | None]:
    """Elements of an unmerged LoRA adapter, and why its work is unclear, where it is."""
    elements = 0
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        if not any(part.startswith("lora_") for part in parts):
            continue
        if not any(part in _ONCE_A_TOKEN for part in parts) or {"lm_head", "experts"}.intersection(parts):
            return 0, f"the adapter has parts that are not used once a token ({name})"
        elements += parameter.numel()
    return elements, None
