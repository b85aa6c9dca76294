"""What the numbers depend on: machine, boards, packages. Nothing private: no user, no host name, no variables."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from llem_runner.backends.protocol import BackendFacts
from llem_runner.power.sensors import Board


def environment(facts: BackendFacts, boards: tuple[Board, ...]) -> dict[str, Any]:
    """JSON values, grouped: `gpus`, `host`, `engine`, `packages`, `python`."""
    return {
        "gpus": [_gpu(board) for board in boards],
        "host": {
            "cpu_model": _first_value(Path("/proc/cpuinfo"), "model name"),
            "cpu_count": len(os.sched_getaffinity(0)),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "kernel": platform.release(),
            "machine": platform.machine(),
        },
        "engine": {"name": facts.name, "version": facts.version, "effective": facts.effective, **facts.notes},
        "packages": {**_versions("codecarbon", "nvidia-ml-py", "pydantic", "zeus"), **facts.packages},
        "python": sys.version.split()[0],
    }


def _versions(*packages: str) -> dict[str, str]:
    """Versions of those packages that are installed."""
    versions = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _gpu(board: Board) -> dict[str, Any]:
    return {
        "uuid": board.uuid,
        "index": board.index,
        "name": board.name,
        "family": str(board.family),
        "driver": board.driver,
        "readings": list(board.readings),
        "counter_scope": board.counter_scope,
        "power_scope": board.power_scope,
        "power_limit_w": board.power_limit_w,
        "simulated": board.simulated,
    }


def _first_value(path: Path, key: str) -> str | None:
    """The first `key : value` of a file like /proc/cpuinfo."""
    try:
        for line in path.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    except OSError:
        return None
    return None
