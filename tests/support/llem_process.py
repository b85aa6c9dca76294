"""The real `llem` as a process of its own, and what a test has to see of it: its folder, its runners, its phases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

LLEM = str(Path(sys.executable).parent / "llem")
NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
PATIENCE_S = 120.0

# A run of this takes some seconds, nearly all of them the engine's imports.
TINY = """
model: builtin:tiny-llama
precision: fp32
n: 2
max_output_tokens: 4
energy: {min_window_seconds: 0.2}
baseline: {duration_seconds: 1}
warmup: {min_iterations: 1, max_iterations: 2, window_size: 2, thermal_floor_seconds: 1}
"""

# Runs for minutes unless it is stopped.
ENDLESS = """
model: builtin:tiny-llama
precision: fp32
n: 2
max_output_tokens: 8
energy: {min_window_seconds: 600}
warmup: {min_iterations: 1, max_iterations: 1, window_size: 2}
"""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tests' environment, with no container engine in reach."""
    return {**os.environ, **NO_ENGINE, **(extra or {})}


def llem(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [LLEM, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=600)


class Hosts:
    """Starts commands that a test then treats badly, and sees to it that none outlives the test."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def __call__(
        self, *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start `llem` in a session of its own: a Ctrl-C for it is not one for the tests."""
        host = subprocess.Popen(
            [LLEM, *map(str, arguments)],
            cwd=cwd,
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(host)
        return host

    def close(self) -> None:
        """Kill what still runs; its runners end with it."""
        for host in self._started:
            host.kill()
            if host.stdout is not None and not host.stdout.closed:
                host.communicate()


def wait_until(what: str, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """What `condition` returns once it is true. Fails, naming `what`, when patience ends."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {patience_s:g} s in vain for {what}")


def the_study(parent: Path) -> Path:
    """The one study folder below `parent`, once it has begun."""
    return wait_until("a study folder", lambda: next(iter(parent.glob("*/journal.jsonl")), None)).parent  # type: ignore[no-any-return]


def wait_for_phase(study: Path, sequence: int, phase: str, patience_s: float = PATIENCE_S) -> Path:
    """The folder of a run, once it has reached `phase`."""

    def reached() -> Path | None:
        for events in study.glob(f"runs/{sequence:04d}-*/out/events.jsonl"):
            if f'"name":"{phase}"' in events.read_text().replace('": "', '":"'):
                return events.parent.parent
        return None

    return wait_until(f"phase {phase} of run {sequence}", reached, patience_s)  # type: ignore[no-any-return]


def processes_of(study: Path) -> list[psutil.Process]:
    """Every process that works for the study: its runners, and whatever they started."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = " ".join(process.info["cmdline"] or []) + " " + (process.info["cwd"] or "")
        if str(study / "runs") in words and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def runner_of(study: Path) -> psutil.Process:
    """The one runner of the study."""
    runners = [process for process in processes_of(study) if "llem_runner" in process.cmdline()]
    assert len(runners) == 1, runners
    return runners[0]


def journal(study: Path) -> list[dict[str, Any]]:
    """The lines of the journal."""
    return [json.loads(line) for line in (study / "journal.jsonl").read_text().splitlines()]


def events_of(study: Path) -> list[str]:
    """The names of the journal's lines."""
    return [line["event"] for line in journal(study)]
