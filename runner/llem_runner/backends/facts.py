"""What a result says of every engine alike: its files, its build of torch, and a model without a stop token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from llem_runner.contract import ExperimentConfig
from llem_runner.workload.model_files import describe_model


def model_files(
    config: ExperimentConfig, model_config: Any, model_path: str, adapter_path: str | None
) -> dict[str, Any]:
    """What was loaded from the folder, or the name, `model_path`, and of the adapter beside it."""
    files = describe_model(Path(model_path), getattr(model_config, "_commit_hash", None) or config.revision)
    source = adapter_path or (config.lora.adapter_path if config.lora else None)
    return {**files, "adapter": describe_model(Path(source))} if source else files


def torch_build() -> dict[str, Any]:
    """Which build of torch: version, source, and what it was built for."""
    return {
        "version": torch.__version__,
        "git": torch.version.git_version,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.version.cuda else None,
    }


def stop_token_warnings(config: ExperimentConfig, stop_token_ids: tuple[int, ...]) -> list[tuple[str, str]]:
    """A (code, message) where only the output limit can end a request."""
    if stop_token_ids or config.output_fixed:
        return []
    return [("no_stop_token", "The model names no stop token: every request has max_output_tokens tokens.")]
