"""Paths that people write: `~` expanded, and what no path can be told in words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from llem.errors import UsageError


def expanded(written: str | Path) -> Path:
    """`~` and `~user` expanded. Raises UsageError where there is no such home, or the path is no text."""
    try:
        path = Path(written).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{written}: there is no such home folder ({error}).") from error
    return checked(path)


def checked(path: Path) -> Path:
    """`path`, if its name is text: JSON, which everything of a study is written in, holds no other bytes."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise UsageError(f"{shown}: this path is no UTF-8 text, and could not be written into a study.") from error
    return path


def cache_home(environment: Mapping[str, str] = os.environ) -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}`; a relative value is ignored, as XDG asks."""
    configured = environment.get("XDG_CACHE_HOME", "")
    return Path(configured) if configured.startswith("/") else expanded("~/.cache")
