"""A rival in a process of its own (the parent's side: `rivals`).

    python tests/bench/accuracy/rival_process.py zeus|codecarbon|power BOARDS

It answers on standard output, one line of JSON each: when it is ready, and for each line of windows on standard input
(`[[start_s, end_s], …]`, monotonic) when it had looked and what it then said of each board. `power` is no tool: it
polls every board's power from the first start to the last end, as somebody does who integrates it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pynvml

POLL_EVERY_S = 0.1
_JOULES_PER_KWH = 3.6e6

Moment = float
Windows = Sequence[tuple[float, float]]


class Rival(Protocol):
    """What measures windows."""

    def measure(self, windows: Windows) -> Any:
        """Measure the windows as they come; returns once the last has closed."""


class Zeus:
    """ZeusMonitor: the counter as it is at both edges. Windows may overlap."""

    def __init__(self, boards: int) -> None:
        from zeus.monitor import ZeusMonitor

        self._monitor = ZeusMonitor(gpu_indices=list(range(boards)), cpu_indices=[])
        self._boards = boards

    def measure(self, windows: Windows) -> list[Any]:
        edges = sorted(
            (moment_s, which, number) for number, window in enumerate(windows) for which, moment_s in enumerate(window)
        )
        started_s: dict[int, Moment] = {}
        measured: dict[int, Any] = {}
        for moment_s, is_end, number in edges:
            _wait_until(moment_s)
            called_s = time.monotonic()
            if is_end:
                used = self._monitor.end_window(str(number), sync_execution=False)
                middle_s = (called_s + time.monotonic()) / 2
                boards_j = [float(used.gpu_energy[index]) for index in range(self._boards)]
                measured[number] = [started_s[number], middle_s, boards_j]
            else:
                self._monitor.begin_window(str(number), sync_execution=False)
                started_s[number] = (called_s + time.monotonic()) / 2
        return [measured[number] for number in range(len(windows))]


class CodeCarbon:
    """CodeCarbon's offline tracker, one task a window. It adds boards up: what it added is looked at as it does so."""

    def __init__(self, boards: int) -> None:
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.core.gpu import AllGPUDevices

        self._moment_s = 0.0
        self._boards_kwh: list[float] = []
        plain_start, plain_delta = AllGPUDevices.start, AllGPUDevices.get_delta

        def start(devices: Any) -> None:
            self._timed(lambda: plain_start(devices))

        def get_delta(devices: Any, last_duration: Any) -> Any:
            found = self._timed(lambda: plain_delta(devices, last_duration))
            self._boards_kwh = [device["delta_energy_consumption"].kWh for device in found]
            return found

        AllGPUDevices.start, AllGPUDevices.get_delta = start, get_delta
        self._tracker = OfflineEmissionsTracker(
            country_iso_code="USA",
            tracking_mode="machine",
            gpu_ids=list(range(boards)),
            save_to_file=False,
            save_to_api=False,
            allow_multiple_runs=True,
            log_level="critical",
        )
        # A first task finds the hardware, which takes seconds.
        self._tracker.start_task("find hardware")
        self._tracker.stop_task("find hardware")

    def measure(self, windows: Windows) -> list[Any]:
        measured = []
        for start_s, end_s in windows:
            _wait_until(start_s)
            self._tracker.start_task("window")
            started_s = self._moment_s
            _wait_until(end_s)
            self._tracker.stop_task()
            measured.append([started_s, self._moment_s, [_JOULES_PER_KWH * kwh for kwh in self._boards_kwh]])
        return measured

    def _timed(self, look: Callable[[], Any]) -> Any:
        called_s = time.monotonic()
        found = look()
        self._moment_s = (called_s + time.monotonic()) / 2
        return found


class Power:
    """`nvmlDeviceGetPowerUsage` of each board every 100 ms; answers with the polls themselves."""

    def __init__(self, boards: int) -> None:
        pynvml.nvmlInit()
        self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(boards)]

    def measure(self, windows: Windows) -> list[Any]:
        polls = []
        due_s, last_s = min(start_s for start_s, _ in windows), max(end_s for _, end_s in windows)
        while due_s <= last_s + POLL_EVERY_S:
            _wait_until(due_s)
            called_s = time.monotonic()
            watts = [pynvml.nvmlDeviceGetPowerUsage(handle) / 1000 for handle in self._handles]
            polls.append([(called_s + time.monotonic()) / 2, watts])
            due_s = max(due_s + POLL_EVERY_S, time.monotonic())
        return polls


RIVALS: dict[str, Callable[[int], Rival]] = {"zeus": Zeus, "codecarbon": CodeCarbon, "power": Power}


def _wait_until(moment_s: float) -> None:
    time.sleep(max(0.0, moment_s - time.monotonic()))


def main(name: str, boards: str) -> None:
    """Answer until standard input ends."""
    # Answers go out by a descriptor of their own: whatever a library prints must not get in between.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(content: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            answers.write(json.dumps(content) + "\n")
            answers.flush()

    try:
        rival = RIVALS[name](int(boards))
    except ImportError as error:
        answer({"missing": str(error)})
        return
    answer({"ready": True})
    for line in sys.stdin:
        answer(rival.measure(json.loads(line)))


if __name__ == "__main__":
    main(*sys.argv[1:])
