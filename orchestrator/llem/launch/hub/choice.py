"""Which files of a repository a run needs. Pure.

Only those at its top: engines look nowhere else, and folders below hold the same weights in other formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

_SETTINGS = frozenset({".json", ".txt", ".model", ".jinja", ".tiktoken", ".spm"})
"""Configuration, tokenizers and chat templates."""
_TEMPLATES = "additional_chat_templates"
# Whoever loads a pickle runs it: of these only weights, by the names that transformers and PEFT give them.
_PICKLED_WEIGHTS = re.compile(r"(pytorch|adapter)_model[^/]*\.bin")
_TWICE = "consolidated"
"""What Mistral calls a second copy of the weights, in its own layout."""


@dataclass(frozen=True)
class Chosen:
    """Names of files. `weights` is empty where none are asked for, or there are none that would be taken."""

    weights: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return *self.others, *self.weights


def choose(names: Iterable[str], *, weights: bool, code: bool) -> Chosen:
    """Of the files of a repository: safetensors (`.bin` only where there are none), settings, and `code`."""
    files = sorted(map(PurePosixPath, names))
    others = [file for file in files if _is_setting(file) or (code and file.suffix == ".py")]
    return Chosen(tuple(_weights(files)) if weights else (), tuple(map(str, others)))


def _is_setting(file: PurePosixPath) -> bool:
    in_its_place = len(file.parts) == 1 or (file.parts[0] == _TEMPLATES and file.suffix == ".jinja")
    return in_its_place and file.suffix in _SETTINGS


def _weights(files: Iterable[PurePosixPath]) -> list[str]:
    at_the_top = [str(file) for file in files if len(file.parts) == 1]
    tensors = [name for name in at_the_top if name.endswith(".safetensors")]
    once = [name for name in tensors if not name.startswith(_TWICE)]
    return once or tensors or [name for name in at_the_top if _PICKLED_WEIGHTS.fullmatch(name)]
