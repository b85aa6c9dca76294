"""The host's own energy over the window: by RAPL where it can be read, else by CodeCarbon's model of CPU and memory.

CodeCarbon's is an estimate, not a measurement, and marked so everywhere: it takes the CPU's load and nominal power,
and a fixed power for its memory. Either is kept apart from GPU energy. CodeCarbon gets a process of its own, which
keeps its threads away from the engine's interpreter. Offline: nothing is looked up or sent.

    parent                        child (python3 -m llem_runner.power.host)
      start() ──────────────────▶   build the tracker, find the hardware (seconds)
      begin() ── "begin" ───────▶   start_task          ◀── window opens
      end()   ── "end" ─────────▶   stop_task ── JSON ──▶   window closes
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Union

from pydantic import ValidationError

from llem_runner.contract.result import HostEnergy
from llem_runner.power.rapl import POWERCAP, RaplMeter, find_counters

_JOULES_PER_KWH = 3.6e6
# It decides only about grams of CO2, which are not used here; CodeCarbon's offline tracker cannot do without one.
_ANY_COUNTRY = "USA"
_READY_WITHIN_S = 60.0
_ANSWER_WITHIN_S = 30.0
_SHOWN_CHARACTERS = 200

CHILD_ARGUMENTS = ["-m", "llem_runner.power.host"]

UNMEASURED = HostEnergy(cpu_j=None, dram_j=None, source="none", estimated=False)


class HostMeter:
    """CodeCarbon, the parent's side.

    A failure leaves host energy unmeasured, with the reason in `problem`; no run fails by it.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self._home = tempfile.TemporaryDirectory(prefix="llem-host-meter-")
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process; it finds the hardware while the model loads."""
        # A user's CodeCarbon settings (files in the home folder, variables) must not send this anywhere.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CODECARBON_")}
        self._process = subprocess.Popen(
            [sys.executable, *CHILD_ARGUMENTS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self._home.name,
            env={**environment, "HOME": self._home.name},
        )

    def ready(self) -> None:
        """Wait until the hardware is found: before the warm-up, so that nothing of it falls into the window."""
        self._answer(_READY_WITHIN_S)

    def begin(self) -> None:
        """The window opens."""
        self._say("begin")

    def end(self) -> None:
        """The window closes."""
        self._say("end")

    def energy(self) -> HostEnergy:
        """Energy between `begin` and `end`."""
        answer = self._answer(_ANSWER_WITHIN_S)
        if answer is None:
            return UNMEASURED
        try:
            return HostEnergy(cpu_j=answer["cpu_j"], dram_j=answer["dram_j"], source="codecarbon", estimated=True)
        except (KeyError, ValidationError):
            self.problem = f"CodeCarbon answered {json.dumps(answer)[:_SHOWN_CHARACTERS]}"
            return UNMEASURED

    def close(self) -> None:
        """End the process. Safe to call twice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            # Closed, not read to their end: a process that it started itself may hold the other one.
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            self._process = None
        self._home.cleanup()

    def _say(self, word: str) -> None:
        if self._process is None or self._process.stdin is None or self.problem:
            return
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except OSError:
            self.problem = "the host meter ended early"

    def _answer(self, within_s: float) -> dict[str, Any] | None:
        if self._process is None or self._process.stdout is None or self.problem:
            return None
        readable, _, _ = select.select([self._process.stdout], [], [], within_s)
        line = self._process.stdout.readline() if readable else ""
        if not line:
            self.problem = "CodeCarbon did not answer"
            return None
        try:
            answer: Any = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self.problem = f"CodeCarbon answered {line.strip()[:_SHOWN_CHARACTERS]!r}"
            return None
        self.problem = answer.get("problem")
        return None if self.problem else answer


HostEnergyMeter = Union[HostMeter, RaplMeter]


def open_host_meter(powercap: Path = POWERCAP) -> HostEnergyMeter:
    """RAPL where every counter below `powercap` can be read, else CodeCarbon. Nothing is measured yet."""
    counters = find_counters(powercap)
    return RaplMeter(counters) if counters else HostMeter()


def _child() -> None:
    """The process itself: one line of JSON when ready, one after `end`."""
    # Answers go out by a descriptor of their own: whatever a library prints must not get in between.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        from codecarbon import OfflineEmissionsTracker
    except ImportError as error:
        # Of a broken one, Python names the folder that it lies in: that is nobody's business.
        why = str(error).partition(" (/")[0]
        answer({"problem": f"CodeCarbon is not installed here ({why}); install llem[codecarbon]"})
        return
    tracker = OfflineEmissionsTracker(
        country_iso_code=_ANY_COUNTRY,
        tracking_mode="machine",
        gpu_ids=[],
        save_to_file=False,
        save_to_api=False,
        allow_multiple_runs=True,
        log_level="critical",
    )
    # A first task finds the hardware, which takes seconds.
    tracker.start_task("find hardware")
    tracker.stop_task("find hardware")
    answer({"ready": True})
    for word in sys.stdin:
        if word.strip() == "begin":
            tracker.start_task("window")
        elif word.strip() == "end":
            used = tracker.stop_task("window")
            answer({"cpu_j": used.cpu_energy * _JOULES_PER_KWH, "dram_j": used.ram_energy * _JOULES_PER_KWH})
            return


if __name__ == "__main__":
    _child()
