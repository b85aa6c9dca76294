"""The process around the measured window in which Zeus or CodeCarbon measures (parent's side: `window_meter`).

    python3 -m llem_runner.power.window_process zeus|codecarbon INDEX …

Boards are named by NVML's index. It answers on standard output, one line of JSON each: when it is ready, when it has
begun, and the joules when it has ended. It ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import pynvml

_JOULES_PER_KWH = 3.6e6
# It decides only about grams of CO2, which are not used here; CodeCarbon's offline tracker cannot do without one.
_ANY_COUNTRY = "USA"

Joules = dict[str, Any]
"""`total_j`, and `by_index_j` for the boards that the tool tells apart."""


class Unreadable(Exception):
    """The tool is here and cannot measure these boards; the message says why."""


class Tool(Protocol):
    """What measures between `begin` and `end`."""

    def begin(self) -> None:
        """The window opens."""

    def end(self) -> Joules:
        """The window closes."""


class ZeusTool:
    """ZeusMonitor: the energy counter at both edges, or power polled in processes of its own where there is none."""

    def __init__(self, indices: Sequence[int]) -> None:
        from zeus.monitor import ZeusMonitor

        # No CPUs: RAPL needs root, and host energy is measured apart.
        self._monitor = ZeusMonitor(gpu_indices=list(indices), cpu_indices=[])

    def begin(self) -> None:
        # The engine has waited for its device already, and it is in another process.
        self._monitor.begin_window("window", sync_execution=False)

    def end(self) -> Joules:
        used = self._monitor.end_window("window", sync_execution=False)
        return {"total_j": used.total_energy, "by_index_j": used.gpu_energy}


class CodeCarbonTool:
    """CodeCarbon's offline tracker. Where it reads no counter it would average a power a second: no energy then."""

    def __init__(self, indices: Sequence[int]) -> None:
        from codecarbon import OfflineEmissionsTracker
        from codecarbon.core.gpu import is_nvidia_system

        self._indices = list(indices)
        self._need_counters()
        if not is_nvidia_system():
            raise Unreadable("CodeCarbon finds GPUs only where nvidia-smi can be run")
        self._tracker = OfflineEmissionsTracker(
            country_iso_code=_ANY_COUNTRY,
            tracking_mode="machine",
            # Indices: of a UUID it takes off letters that belong to it.
            gpu_ids=self._indices,
            save_to_file=False,
            save_to_api=False,
            allow_multiple_runs=True,
            log_level="critical",
        )
        # A first task finds the hardware, which takes seconds.
        self._tracker.start_task("find hardware")
        self._tracker.stop_task("find hardware")

    def begin(self) -> None:
        self._tracker.start_task("window")

    def end(self) -> Joules:
        used_j = self._tracker.stop_task("window").gpu_energy * _JOULES_PER_KWH
        self._need_counters()
        # It adds the boards up.
        return {"total_j": used_j, "by_index_j": {self._indices[0]: used_j} if len(self._indices) == 1 else {}}

    def _need_counters(self) -> None:
        pynvml.nvmlInit()
        try:
            for index in self._indices:
                pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(index))
        except pynvml.NVMLError as error:
            raise Unreadable(f"CodeCarbon reads no energy counter of GPU {index} ({error})") from error
        finally:
            pynvml.nvmlShutdown()


TOOLS: dict[str, Callable[[Sequence[int]], Tool]] = {"zeus": ZeusTool, "codecarbon": CodeCarbonTool}


def main(arguments: Sequence[str]) -> None:
    """Answer until standard input ends."""
    name, *indices = arguments
    # Answers go out by a descriptor of their own: whatever a library prints must not get in between.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(content: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):
            answers.write(json.dumps(content) + "\n")
            answers.flush()

    try:
        tool = TOOLS[name]([int(index) for index in indices])
        answer({"ready": True})
        for word in sys.stdin:
            if word.strip() == "begin":
                tool.begin()
                answer({"begun": True})
            elif word.strip() == "end":
                answer(tool.end())
    except ImportError as error:
        answer({"missing": str(error)})
    except Unreadable as unreadable:
        answer({"problem": str(unreadable)})
    except Exception as error:  # noqa: BLE001 - whatever another tool raises, the result says it
        answer({"problem": f"{name} failed: {type(error).__name__}: {error}"})


if __name__ == "__main__":
    main(sys.argv[1:])
