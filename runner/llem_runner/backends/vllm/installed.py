"""What the installed vLLM takes and can compute on."""

from __future__ import annotations

import dataclasses
from typing import Any

import vllm

from llem_runner.backends.vllm.arguments import KnownNames
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed


def known_names() -> KnownNames:
    """What the installed vLLM takes."""
    from vllm.config import AttentionConfig, CompilationConfig
    from vllm.engine.arg_utils import EngineArgs

    def fields(configuration: Any) -> frozenset[str]:
        return frozenset(each.name for each in dataclasses.fields(configuration))

    return KnownNames(
        version=vllm.__version__,
        engine=fields(EngineArgs),
        sampling=frozenset(vllm.SamplingParams.__struct_fields__),
        inside={"attention_config": fields(AttentionConfig), "compilation_config": fields(CompilationConfig)},
    )


def usable_gpus() -> int:
    """GPUs that this build of vLLM can compute on: none where it is a CPU build."""
    from vllm.platforms import current_platform

    if not current_platform.is_cuda_alike():
        return 0
    import torch

    return int(torch.cuda.device_count())


def refuse_impossible(config: ExperimentConfig, device: str) -> None:
    from vllm.platforms import current_platform

    if device == "cpu" and not current_platform.is_cpu():
        raise RunFailed(
            FailureKind.BACKEND,
            f"This run computes on the CPU, and vLLM {vllm.__version__} is a build for "
            f"{current_platform.device_name}: use the CPU image of vLLM, or a GPU.",
        )
    if config.lora and config.lora.merge_weights:
        raise RunFailed(FailureKind.BACKEND, "lora.merge_weights: vLLM keeps adapters apart; merge them beforehand.")
