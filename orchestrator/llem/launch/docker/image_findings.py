"""Whether an image has what runs need, judged by what a look inside said. Pure: all limits are here.

ok        it is there
warning   runs begin, and may end early or be slow
missing   no run would come to an end
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from llem.launch.docker.image_facts import ImageFacts, ImageLook

LEAST_PYTHON = "3.10"
LEAST_PYDANTIC = "2.8"

Level = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class EnginePackage:
    """A package that a backend is made of: below `least` something it needs is not there, namely `needed_for`.

    `tested` is the oldest that llem's own tests run on; between the two nobody knows.
    """

    least: str
    tested: str
    needed_for: str


ENGINES: dict[str, dict[str, EnginePackage]] = {
    "pytorch": {
        "torch": EnginePackage("2.4", "2.6", "what transformers itself asks for"),
        "transformers": EnginePackage("4.56", "5.16.1", "the argument dtype of from_pretrained, which sets precision"),
    },
    "vllm": {
        "vllm": EnginePackage("0.32", "0.32", "the engine's own loop and times, which llem reads step by step"),
    },
}
"""Backend → its packages."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `remedy`: what to do, empty where nothing is to be done."""

    level: Level
    subject: str
    message: str
    remedy: str = ""
