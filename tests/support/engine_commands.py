"""The engine's commands, as the Makefile calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from docker_engine import ENVIRONMENT_VARIABLE, LIBRARY_VARIABLE, REPOSITORY, Daemon, Engine
from llem_process import wait_until


def docker_engine(
    *arguments: str, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """A command of this checkout's engine, to its end. An empty value in `env` takes a variable away."""
    environment = {**os.environ, **(env or {})}
    command = [*prefix, sys.executable, str(REPOSITORY / "tests" / "engine" / "docker"), *arguments]
    kept = {name: value for name, value in environment.items() if value}
    return subprocess.run(command, cwd=REPOSITORY, env=kept, capture_output=True, text=True, timeout=600)


def kill_daemon(daemon: Daemon) -> None:
    """SIGKILL of its first process: the kernel ends all the rest of it."""
    process = daemon.process()
    assert process is not None
    process.kill()
    wait_until("the end of the engine", lambda: daemon.process() is None)


def overrides_in_force(engine: Engine) -> dict[str, str]:
    """The variables with which an `up` changes nothing about the simulated GPUs of a running engine."""
    settings = json.loads((engine.gpus.runtime.parent / "settings.json").read_text())
    return {LIBRARY_VARIABLE: settings["library"], ENVIRONMENT_VARIABLE: settings["environment"] or ""}
