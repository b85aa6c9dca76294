"""What every backend shares: decoding, warm-up, baseline, energy, LoRA, synthetic prompts."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from llem_runner.contract.strict import Flag, Frozen, Number, Text, Whole

Preset = Literal["deterministic", "standard", "creative", "factual"]

# A preset fills only what is not written beside it.
PRESETS: dict[str, dict[str, Any]] = {
    "deterministic": {"do_sample": False},
    "standard": {"do_sample": True, "temperature": 1.0, "top_p": 0.95},
    "creative": {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "repetition_penalty": 1.1},
    "factual": {"do_sample": True, "temperature": 0.3},
}


class DecoderConfig(Frozen):
    """How the next token is chosen. These values alone decide: a model's own generation defaults are never mixed in.

    `preset` is shorthand: it is resolved into the other keys on the way in and is None from then on.
    """

    do_sample: Flag = False
    temperature: Annotated[Number, Field(ge=0)] = 1.0
    top_k: Annotated[Whole, Field(ge=1)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] = 1.0
    min_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[Number, Field(gt=0)] = 1.0
    min_new_tokens: Annotated[Whole, Field(ge=0)] | None = None
    preset: Preset | None = None

    @model_validator(mode="before")
    @classmethod
    def _resolve_preset(cls, data: Any) -> Any:
        return resolve_preset(data) if isinstance(data, dict) else data


def resolve_preset(decoder: dict[str, Any]) -> dict[str, Any]:
    """`decoder` with its preset written out and dropped; an unknown preset is left for validation to name."""
    preset = decoder.get("preset")
    if not isinstance(preset, str) or preset not in PRESETS:
        return decoder
    written = {key: value for key, value in decoder.items() if key != "preset"}
    return {**PRESETS[preset], **written}


class WarmupConfig(Frozen):
    """How the GPU and the engine are brought to a steady state before the window opens."""

    enabled: Flag = True
    convergence_detection: Flag = True
    cv_threshold: Annotated[Number, Field(gt=0, le=1)] = 0.05
    window_size: Annotated[Whole, Field(ge=2)] = 5
    min_iterations: Annotated[Whole, Field(ge=1)] = 5
    max_iterations: Annotated[Whole, Field(ge=1)] = 20
    n_warmup: Annotated[Whole, Field(ge=1)] = 5
    """Iterations when convergence is not watched."""
    thermal_floor_seconds: Annotated[Number, Field(ge=0)] = 60.0
    """Least time under load before the window, in seconds."""


class BaselineConfig(Frozen):
    """Idle power before anything of ours is on the GPU."""

    enabled: Flag = True
    duration_seconds: Annotated[Number, Field(gt=0)] = 30.0


class EnergyConfig(Frozen):
    """What reads energy, how often, and the least length of the measured window."""

    backend: Literal["auto", "nvml", "zeus", "codecarbon", "none"] = "auto"
    poll_interval_ms: Annotated[Number, Field(ge=5, le=1000)] = 47.0
    """47 is no divisor of the usual 100 ms sensor period: the polls drift across the steps and find their phase."""
    min_window_seconds: Annotated[Number, Field(ge=0)] = 10.0


class LoraConfig(Frozen):
    """A LoRA adapter: a Hub id or a folder, one of the two."""

    adapter_id: Text | None = None
    adapter_path: Text | None = None
    merge_weights: Flag = False

    @model_validator(mode="after")
    def _one_source(self) -> LoraConfig:
        if (self.adapter_id is None) == (self.adapter_path is None):
            raise ValueError("exactly one of adapter_id and adapter_path is needed")
        return self


class SyntheticDataset(Frozen):
    """Prompts of exactly `input_len` random tokens, each answered with exactly `output_len` tokens."""

    input_len: Annotated[Whole, Field(ge=1)]
    output_len: Annotated[Whole, Field(ge=1)]
