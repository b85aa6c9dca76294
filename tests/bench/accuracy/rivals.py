"""The other tools, each in a process of its own for the whole comparison: what they say of a recording's windows."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from .windows import Measured, Window


class RivalMissing(Exception):
    """A tool that is not installed; the message names it."""


class Rival:
    """One process. Ask with `begin`, and later get what it says with `answer`."""

    def __init__(self, name: str, boards: int, environment: dict[str, str], complaints: Path) -> None:
        self.name = name
        # A file and not a pipe: nobody reads it unless the tool ends, and a full pipe would stop it.
        self._complaints = complaints
        stderr = complaints.open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("rival_process.py")), name, str(boards)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        stderr.close()

    def wait_until_ready(self) -> None:
        """Raises RivalMissing where the tool cannot be imported."""
        ready = self._line()
        if "missing" in ready:
            raise RivalMissing(f"{self.name} is needed for the comparison and cannot be imported ({ready['missing']})")

    def begin(self, windows: Sequence[tuple[float, float]]) -> None:
        """Measure these windows, given in seconds of the monotonic clock."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(windows) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """What it found; waits for its last window."""
        return self._line()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: {self._complaints.read_text()[-2000:]}")
        return json.loads(line)


class Polls:
    """Power as it was polled, and its plain trapezoid."""

    def __init__(self, polls: Sequence[tuple[float, Sequence[float]]]) -> None:
        self._times_s = [time_s for time_s, _ in polls]
        self._watts = [watts for _, watts in polls]

    def energy_j(self, board: int, start_s: float, end_s: float) -> float:
        """The trapezoid from edge to edge; at an edge the power is what a straight line between the polls says."""
        inside = [time_s for time_s in self._times_s if start_s < time_s < end_s]
        corners = [(time_s, self._power_w(board, time_s)) for time_s in (start_s, *inside, end_s)]
        return sum((b - a) * (p + q) / 2 for (a, p), (b, q) in itertools.pairwise(corners))

    def _power_w(self, board: int, time_s: float) -> float:
        after = min(max(bisect_left(self._times_s, time_s), 1), len(self._times_s) - 1)
        before_s, after_s = self._times_s[after - 1], self._times_s[after]
        low_w, high_w = self._watts[after - 1][board], self._watts[after][board]
        return low_w + (high_w - low_w) * (time_s - before_s) / (after_s - before_s)


class Rivals:
    """All of them, alive over all recordings: the library's settings change under them. Use as a context manager."""

    def __init__(self, boards: int, lengths_s: Sequence[float]) -> None:
        self._boards, self._lengths_s = boards, lengths_s
        self._stack = ExitStack()

    def __enter__(self) -> Rivals:
        with ExitStack() as stack:
            home = stack.enter_context(TemporaryDirectory(prefix="llem-bench-rivals-"))
            environment = _environment(Path(home))

            def started(name: str, which: str = "") -> Rival:
                rival = Rival(name, self._boards, environment, Path(home) / f"{name}{which}.log")
                stack.callback(rival.close)
                return rival

            self._zeus, self._power = started("zeus"), started("power")
            # CodeCarbon has one task at a time: windows of different lengths need a tracker each.
            self._codecarbon = {length_s: started("codecarbon", f"-{length_s:g}") for length_s in self._lengths_s}
            for rival in self._all():
                rival.wait_until_ready()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begin(self, windows: Sequence[Window], start_s: float) -> None:
        """Let all measure the windows of a recording that starts at `start_s`."""
        self._planned = list(windows)
        self._single = {
            length_s: [window for window in windows if window.length_s == length_s and not window.overlaps]
            for length_s in self._lengths_s
        }
        moments = [(start_s + window.start_s, start_s + window.end_s) for window in windows]
        self._zeus.begin(moments)
        self._power.begin(moments)
        for length_s, rival in self._codecarbon.items():
            rival.begin([(start_s + window.start_s, start_s + window.end_s) for window in self._single[length_s]])

    def answers(self) -> tuple[list[Measured], list[Measured], Polls]:
        """What Zeus and CodeCarbon measured, and the polled power."""
        zeus = _measured(self._planned, self._zeus.answer())
        codecarbon = [
            measured
            for length_s, rival in self._codecarbon.items()
            for measured in _measured(self._single[length_s], rival.answer())
        ]
        return zeus, codecarbon, Polls(self._power.answer())

    def _all(self) -> list[Rival]:
        return [self._zeus, self._power, *self._codecarbon.values()]


def _measured(windows: Sequence[Window], answers: Any) -> list[Measured]:
    return [
        Measured(window.length_s, start_s, end_s, tuple(boards_j))
        for window, (start_s, end_s, boards_j) in zip(windows, answers, strict=True)
    ]


def _environment(home: Path) -> dict[str, str]:
    """With an nvidia-smi that can be run, which CodeCarbon wants to see, and without anybody's settings."""
    smi = home / "nvidia-smi"
    smi.write_text("#!/bin/sh\nexit 0\n")
    smi.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CODECARBON_", "CUDA_"))}
    return {**kept, "HOME": str(home), "PATH": f"{home}{os.pathsep}{os.environ['PATH']}"}
