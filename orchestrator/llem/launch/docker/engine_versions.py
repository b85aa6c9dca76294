"""The least that an image, and the engine in it, may be. One place for all of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

LEAST_PYTHON = "3.10"
LEAST_PYDANTIC = "2.8"


@dataclass(frozen=True)
class EnginePackage:
    """A package that a backend is made of: below `least` what it is `needed_for` is not there.

    `tested` is the oldest version that llem's extras allow and its tests run on; what is between the two may do.
    """

    least: str
    tested: str
    needed_for: str


_TORCH = EnginePackage("2.2", "2.6", "every transformers that will do")

ENGINES: dict[str, dict[str, EnginePackage]] = {
    "pytorch": {
        "torch": _TORCH,
        "transformers": EnginePackage("4.56", "5.16.1", "precision (the argument dtype of from_pretrained)"),
    },
    "vllm": {
        "torch": _TORCH,
        "vllm": EnginePackage("0.17", "0.32", "giving it all prompts at once (LLM.enqueue)"),
    },
}
"""Backend → the packages that make it."""

ACCELERATE = EnginePackage("1.0", "1.0", "putting a model on a GPU (transformers' device_map)")
"""Of the backend pytorch on a GPU."""


def is_older(version: str, limit: str) -> bool:
    """Whether a version comes before `limit`, by the numbers they begin with: builds are called 2.6.0a0+git, 2.13+cpu.

    One that begins with no number (`dev`) is taken for the newest.
    """
    numbers = _numbers(version)
    return bool(numbers) and numbers < _numbers(limit)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)", version)
    numbers = [int(part) for part in found[1].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
