"""What the numbers depend on: machine, boards, model, packages.

Nothing private: no user, no host name, no variables, no folder.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import metadata
from typing import Any

from llem_runner.backends.protocol import BackendFacts
from llem_runner.machine import machine
from llem_runner.power.sensors import Board


def environment(facts: BackendFacts, boards: tuple[Board, ...]) -> dict[str, Any]:
    """JSON values, grouped: `gpus`, `host`, `model`, `engine`, `packages`, `python`."""
    return {
        "gpus": [_gpu(board) for board in boards],
        "host": machine(),
        "model": facts.model,
        "engine": {"name": facts.name, "version": facts.version, "effective": facts.effective, **facts.notes},
        "packages": {**installed_versions("codecarbon", "nvidia-ml-py", "pydantic", "zeus"), **facts.packages},
        "python": sys.version.split()[0],
    }


def installed_versions(*packages: str) -> dict[str, str]:
    """Versions of those packages that are installed; none of them is imported."""
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
        **board.state,
        "simulated": board.simulated,
    }
