"""The engine's commands, as the Makefile calls them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from docker_engine import REPOSITORY

_PYTHONPATH = ("tests/engine/docker", "tests/engine/nvml", "tests/support", "orchestrator", "runner")


def docker_engine(
    *arguments: str, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """`python -m docker_engine` of this checkout, to its end. An empty value in `env` takes a variable away."""
    path = ":".join(str(REPOSITORY / folder) for folder in _PYTHONPATH)
    environment = {**os.environ, "PYTHONPATH": path, **(env or {})}
    command = [*prefix, sys.executable, "-m", "docker_engine", *arguments]
    kept = {name: value for name, value in environment.items() if value}
    return subprocess.run(command, cwd=REPOSITORY, env=kept, capture_output=True, text=True, timeout=600)
