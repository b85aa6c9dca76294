"""What a model folder says of the model: its configuration and its stop tokens, read alike for every backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import AutoConfig, GenerationConfig

from llem_runner.backends.failures import failing_as
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.workload.model_failure import model_failure


def read_model_config(model_path: str, config: ExperimentConfig) -> Any:
    """The model's configuration (transformers). Raises `RunFailed` of kind model; see `failing_as` for the others."""
    if _is_folder_name(model_path) and not (Path(model_path) / "config.json").is_file():
        raise RunFailed(FailureKind.MODEL, f"{model_path} is no model folder: there is no config.json in it.")
    with failing_as(lambda error: model_failure("Reading the configuration of", model_path, error)):
        return AutoConfig.from_pretrained(
            model_path, revision=config.revision, trust_remote_code=config.trust_remote_code
        )


def read_generation_defaults(model_path: str, config: ExperimentConfig, model_config: Any) -> Any:
    """The model's own generation defaults: of these only the stop and padding tokens are ever used."""
    try:
        return GenerationConfig.from_pretrained(model_path, revision=config.revision)
    except OSError:
        # Models without generation_config.json keep those tokens in their configuration.
        return GenerationConfig.from_model_config(model_config)


def stop_token_ids_of(defaults: Any, tokenizer: Any) -> tuple[int, ...]:
    """All stop tokens: those of the model's generation defaults and the tokenizer's own, each once.

    Every backend ends a request at the same ones: engines differ in which of them they know by themselves.
    """
    named = defaults.eos_token_id
    ids: Sequence[Any] = list(named) if isinstance(named, (list, tuple)) else [named]
    return tuple(dict.fromkeys(int(stop) for stop in [*ids, tokenizer.eos_token_id] if stop is not None))


def _is_folder_name(model_path: str) -> bool:
    return model_path.startswith(("/", "./", "../", "~")) or Path(model_path).is_dir()
