"""What the project asks for and what its locks pin, by one spelling of each package's name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def spelt(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: Path) -> dict[str, str]:
    """Package → version of every line of a lock that pins one."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", lock.read_text(), flags=re.MULTILINE)
    return {spelt(package): version for package, version in found}


def asked_for(requirements: Iterable[str]) -> set[str]:
    """The packages of requirements as pyproject.toml writes them."""
    return {spelt(re.split(r"[<>=\[ ]", each)[0]) for each in requirements}
