"""Another tool's meter around the measured window: Zeus or CodeCarbon, in a process of its own. The parent's side.

parent                          child (python3 -m llem_runner.power.window_process TOOL INDEX …)
  start()  ─────────────────▶     import the tool, find the boards (seconds, before anything is measured)
  begin()  ── "begin" ──────▶     the tool begins     ─── "begun" ──▶   window opens
  end()    ── "end" ────────▶     the tool ends       ─── joules ───▶   window closed
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from llem_runner.contract.failures import FailureKind, RunFailed
from llem_runner.power.sensors import Board

Tool = Literal["zeus", "codecarbon"]

CHILD_ARGUMENTS = ["-m", "llem_runner.power.window_process"]
_READY_WITHIN_S = 120.0
_ANSWER_WITHIN_S = 30.0
_END_WITHIN_S = 5.0
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Metered:
    """What another tool says of the window, in joule: all boards together, and each where it tells them apart.

    With a `problem`, which says why, nothing is known.
    """

    source: Tool
    total_j: float | None = None
    by_board_j: Mapping[str, float] = field(default_factory=dict)
    problem: str | None = None


class WindowMeter:
    """A running meter process. What goes wrong once it runs leaves the energy unknown, with the reason."""

    def __init__(self, tool: Tool, boards: Sequence[Board]) -> None:
        self._tool: Tool = tool
        self._uuids = {board.index: board.uuid for board in boards}
        self._problem: str | None = None
        self._answer: dict[str, Any] | None = None
        self._home = tempfile.TemporaryDirectory(prefix="llem-window-meter-")
        self._process = subprocess.Popen(
            [sys.executable, *CHILD_ARGUMENTS, tool, *(str(board.index) for board in boards)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Unbuffered: what a buffer had read already, select would wait for.
            bufsize=0,
            cwd=self._home.name,
            env=_environment(self._home.name),
            # With all that the tool starts: none of it may outlive the run.
            start_new_session=True,
        )

    @classmethod
    def start(cls, tool: Tool, boards: Sequence[Board]) -> WindowMeter:
        """Start the tool and wait until it can measure. Raises RunFailed of kind backend where it is not installed."""
        meter = cls(tool, boards)
        ready = meter._listen(_READY_WITHIN_S)
        if ready is not None and ready.get("missing"):
            meter.close()
            raise RunFailed(
                FailureKind.BACKEND,
                f"energy.backend: {tool} was asked for, but {tool} cannot be imported here ({ready['missing']}): "
                f"pip install 'llem[{tool}]'.",
            )
        return meter

    def begin(self) -> None:
        """The window opens: returns when the tool has begun."""
        self._say("begin")
        self._listen(_ANSWER_WITHIN_S)

    def end(self) -> None:
        """The window closes. What the tool says is read later."""
        self._say("end")

    def reading(self) -> Metered:
        """The energy between `begin` and `end`."""
        if self._answer is None:
            self._answer = self._listen(_ANSWER_WITHIN_S)
        if self._answer is None:
            return Metered(self._tool, problem=self._problem)
        try:
            each = {self._uuids[int(index)]: _joules(each_j) for index, each_j in self._answer["by_index_j"].items()}
            total_j = _joules(self._answer["total_j"])
        except (KeyError, ValueError, TypeError, AttributeError):
            return Metered(self._tool, problem=f"{self._tool} answered {_shown(json.dumps(self._answer))}")
        if not all((total_j, *each.values())):
            return Metered(
                self._tool,
                problem=f"{self._tool} found 0 J for a GPU, which none ever draws: the window was shorter than a step "
                "of its counter, or it saw no change in the power that it polled",
            )
        return Metered(self._tool, total_j, each)

    def close(self) -> None:
        """End the process and all that it started. Safe to call twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_WITHIN_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._home.cleanup()

    def _say(self, word: str) -> None:
        if self._problem or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(f"{word}\n".encode())
        except OSError:
            self._problem = f"{self._tool} ended early"

    def _listen(self, within_s: float) -> dict[str, Any] | None:
        """The next answer; None, with the problem kept, where there is none that makes sense."""
        if self._problem or self._process.stdout is None:
            return None
        readable, _, _ = select.select([self._process.stdout], [], [], within_s)
        line = self._process.stdout.readline().decode(errors="replace") if readable else ""
        try:
            answer: Any = json.loads(line)
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            self._problem = answer.get("problem")
        else:
            self._problem = f"{self._tool} answered {_shown(line)}" if line else f"{self._tool} did not answer"
        return None if self._problem else answer


def _environment(home: str) -> dict[str, str]:
    """The child's: boards are named by NVML's index, and no settings of a user's send anything anywhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "CUDA_VISIBLE_DEVICES" and not name.startswith("CODECARBON_")
    }
    return {**kept, "HOME": home}


def _joules(answer: Any) -> float:
    """A measured energy. Raises ValueError for what is none: NaN, or less than nothing after a reset."""
    joules = float(answer)
    if not 0 <= joules < math.inf:
        raise ValueError(answer)
    return joules


def _shown(text: str) -> str:
    return text.strip()[:_SHOWN_CHARACTERS]
