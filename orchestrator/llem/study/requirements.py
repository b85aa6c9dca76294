"""What every experiment needs once it is put together; without it the file is wrong, not the experiment skipped.

Looked for block by block and path by path, so that it is told with the file's other errors, and costs no expansion.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from llem.study.blocks import MAX_EXPERIMENTS
from llem.study.expansion import Block, Expansion
from llem.study.problems import Place, Problems

_MODEL = ("model",)
_DATASET = ("dataset",)
_NO_MODEL = "model is missing: name a Hub id, a folder, or builtin:…"


def check_requirements(expansion: Expansion, problems: Problems) -> None:
    """Note every experiment without a model, and every synthetic dataset without both lengths."""
    nowhere = [block for block in expansion.blocks if not _has_model(block)]
    entries = [block for block in nowhere if block.is_entry]
    if entries == nowhere:
        places = [block.spot.place for block in entries]
    else:  # nothing in the file names one: told once
        file, line, _ = nowhere[0].spot.place
        places = [Place(file, 1, 1) if line else Place(file)]
    for place in places:
        problems.add(place, _NO_MODEL)
    for block in expansion.blocks:
        _check_combinations(block, problems)


def _has_model(block: Block) -> bool:
    """Whether the block's own values, or something that is swept, name a model."""
    return block.values.get("model") is not None or any(_MODEL in dimension.paths for dimension in block.shared)


def _check_combinations(block: Block, problems: Problems) -> None:
    if _has_model(block):
        for values, place in islice(block.over(_MODEL), MAX_EXPERIMENTS):
            if values.get("model") is None:
                problems.add(place, _NO_MODEL)
    for values, place in islice(block.over(_DATASET), MAX_EXPERIMENTS):
        for name in _lengths_missing(values):
            problems.add(place, f"dataset: {name} is missing")


def _lengths_missing(values: Mapping[str, Any]) -> list[str]:
    dataset = values.get("dataset")
    lengths = ("input_len", "output_len")
    if not isinstance(dataset, dict) or all(dataset.get(name) is None for name in lengths):
        return []
    return [name for name in lengths if dataset.get(name) is None]
