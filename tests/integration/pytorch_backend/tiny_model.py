"""What the tests of the pytorch backend share: loading the tiny model, and prompts of given lengths for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llem_runner.backends.protocol import Backend, RequestOutput
from llem_runner.contract import ExperimentConfig

Load = Callable[..., Backend]


def experiment(model: Path | str, **keys: Any) -> ExperimentConfig:
    """An experiment in fp32 with 10 output tokens, and `keys`."""
    defaults = {"precision": "fp32", "max_output_tokens": 10}
    return ExperimentConfig.model_validate({"model": str(model), **defaults, **keys})


def copy_with_generation_config(folder: Path, copy: Path, **values: Any) -> Path:
    """A copy of the model whose generation_config.json says `values` as well."""
    shutil.copytree(folder, copy)
    path = copy / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    return copy


def answers(outputs: list[RequestOutput]) -> list[tuple[int, ...]]:
    """The token ids of each output."""
    return [output.token_ids for output in outputs]


def prompts_of(backend: Backend, *lengths: int) -> list[list[int]]:
    """Different prompts of `lengths` tokens."""
    vocabulary = list(backend.vocabulary())
    return [vocabulary[7 * index + 3 : 7 * index + 3 + length] for index, length in enumerate(lengths)]


def no_sign(_new_tokens: int) -> None:
    """`on_tokens` where nobody looks."""
