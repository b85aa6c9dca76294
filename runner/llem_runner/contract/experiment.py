"""ExperimentConfig: one configuration, whole, as the study room writes it and the runner executes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from llem_runner.contract.engines import BACKEND_SECTIONS, AnyMapping, PytorchConfig, VllmConfig
from llem_runner.contract.sections import (
    BaselineConfig,
    DecoderConfig,
    EnergyConfig,
    LoraConfig,
    SyntheticDataset,
    WarmupConfig,
)
from llem_runner.contract.strict import Flag, Frozen, Text, Whole

Backend = Literal["pytorch", "vllm"]


class ExperimentConfig(Frozen):
    """What is run, what is asked of it, and how it is measured.

    The section of the experiment's own backend is always there; the others are None.
    """

    model: Text
    revision: Text | None = None
    trust_remote_code: Flag = False
    weights: Literal["real", "dummy"] = "real"
    backend: Backend = "pytorch"
    device: Literal["auto", "cuda", "cpu"] = "auto"
    precision: Literal["fp32", "fp16", "bf16"] = "bf16"
    random_seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 42

    dataset: Text | SyntheticDataset = "builtin"
    n: Annotated[Whole, Field(ge=1)] = 100
    dataset_order: Literal["interleaved", "grouped", "shuffled"] = "interleaved"
    prompt_format: Literal["raw", "chat"] = "raw"
    max_input_tokens: Annotated[Whole, Field(ge=1)] = 512
    max_output_tokens: Annotated[Whole, Field(ge=1)] = 128
    output_length: Literal["stop", "fixed"] = "stop"
    decoder: DecoderConfig = DecoderConfig()

    warmup: WarmupConfig = WarmupConfig()
    baseline: BaselineConfig = BaselineConfig()
    energy: EnergyConfig = EnergyConfig()

    lora: LoraConfig | None = None
    passthrough_kwargs: AnyMapping = Field(default_factory=dict)
    pytorch: PytorchConfig | None = None
    vllm: VllmConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _own_section_only(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        backend = data.get("backend", "pytorch")
        if backend not in BACKEND_SECTIONS:
            return data
        own = {backend: data.get(backend) or {}}
        shared = {key: value for key, value in data.items() if key not in BACKEND_SECTIONS}
        foreign = {key: value for key, value in data.items() if key in BACKEND_SECTIONS and key != backend and value}
        if foreign:
            raise ValueError(f"section {', '.join(foreign)} does not belong to backend {backend}")
        return {**shared, **own}

    @property
    def synthetic(self) -> SyntheticDataset | None:
        """The recipe, where the prompts are synthetic."""
        return self.dataset if isinstance(self.dataset, SyntheticDataset) else None

    @property
    def input_limit(self) -> int:
        """Most input tokens of a request."""
        return self.synthetic.input_len if self.synthetic else self.max_input_tokens

    @property
    def output_limit(self) -> int:
        """Most output tokens of a request; every request has exactly these where `output_fixed`."""
        return self.synthetic.output_len if self.synthetic else self.max_output_tokens

    @property
    def output_fixed(self) -> bool:
        """Whether the stop token is ignored, so that every request has the same length."""
        return self.output_length == "fixed" or self.synthetic is not None
