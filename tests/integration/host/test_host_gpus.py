"""The host's NVML on the simulated library: listed, hidden, chosen; memory that comes back, or does not; GPUs lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import simulated_nvml as simulated_package
from simulated_nvml import Board, Fault, Process, Settings, a100, h100
from simulated_nvml.fixtures import SimulatedNvml

GIB = 2**30
FIRST, SECOND = h100(0).uuid, a100(1).uuid

# pynvml loads its library once per process, so each look is a process of its own.
LIST = """
import dataclasses, json, os
from llem.errors import LlemError
from llem.launch.gpus import driver_installed, installed_gpus, list_gpus
try:
    seen = {
        "installed": [dataclasses.asdict(gpu) for gpu in installed_gpus()],
        "usable": [gpu.uuid for gpu in list_gpus()],
        "driver": driver_installed(),
    }
except LlemError as error:
    seen = {"error": type(error).__name__, "message": str(error), "driver": driver_installed()}
print(json.dumps(seen))
"""
# A run's end as the host sees it: argv is the settings file and its texts after the run, one a look.
DRAIN = """
import json, os, sys, time
from pathlib import Path
from llem.launch.gpu_drain import GpuDrain
from llem.launch.gpus import compute_processes, list_gpus, memory_used
from simulated_nvml.settings import replace_text
config, texts = Path(sys.argv[1]), sys.argv[2:]
clock_s = [0.0]
def to_next(seconds):
    clock_s[0] += seconds
    if texts:
        replace_text(config, texts.pop(0))
        time.sleep(0.05)  # the library looks at its settings at most every 5 ms
    return False
uuids = [gpu.uuid for gpu in list_gpus()]
drain = GpuDrain(memory_used, to_next, processes=compute_processes, clock=lambda: clock_s[0], every_s=1, patience_s=5)
drain.before(uuids)
to_next(0)
print(json.dumps({"before": memory_used(uuids), "reasons": drain.after(uuids), "took_s": clock_s[0]}))
"""


def python(program: str, nvml: SimulatedNvml, *arguments: str, **env: str) -> Any:
    inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    packages = str(Path(simulated_package.__file__).parent.parent)
    environment = {**inherited, "PYTHONPATH": packages, **nvml.env, **env}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(nvml: SimulatedNvml, *boards: Board, faults: tuple[Fault, ...] = (), **env: str) -> Any:
    nvml.write(Settings(boards=boards, faults=faults))
    return python(LIST, nvml, **env)


def drained(nvml: SimulatedNvml, before: tuple[Board, ...], *after: tuple[Board, ...]) -> Any:
    nvml.write(Settings(boards=before))
    return python(DRAIN, nvml, str(nvml.config), *(Settings(boards=boards).text() for boards in after))


def test_claim_6_5_boards_are_listed_with_the_index_of_nvml(simulated_nvml: SimulatedNvml) -> None:
    seen = listed(simulated_nvml, h100(0), a100(1))
    assert [(gpu["index"], gpu["uuid"], gpu["simulated"]) for gpu in seen["installed"]] == [
        (0, FIRST, True),
        (1, SECOND, True),
    ]
    assert seen["usable"] == [FIRST, SECOND]
    assert seen["driver"] is True


def test_claim_6_5_what_cuda_visible_devices_hides_is_installed_but_not_usable(simulated_nvml: SimulatedNvml) -> None:
    seen = listed(simulated_nvml, h100(0), a100(1), CUDA_VISIBLE_DEVICES="1")
    assert [gpu["uuid"] for gpu in seen["installed"]] == [FIRST, SECOND]
    assert seen["usable"] == [SECOND]


@pytest.mark.parametrize(
    "fault", [Fault("init", "LIB_RM_VERSION_MISMATCH"), Fault("init", "UNKNOWN"), Fault("count", "UNKNOWN")], ids=str
)
def test_claim_6_5_a_driver_that_does_not_answer_is_a_driver_and_no_silent_cpu(
    simulated_nvml: SimulatedNvml, fault: Fault
) -> None:
    seen = listed(simulated_nvml, h100(0), faults=(fault,))
    assert (seen["error"], seen["driver"]) == ("NotReadyError", True)
    assert "nvidia-smi" in seen["message"]


def test_claim_6_5_a_lost_gpu_is_no_reason_to_run_on_the_others_unasked(simulated_nvml: SimulatedNvml) -> None:
    assert listed(simulated_nvml, h100(0).lost(), a100(1))["error"] == "NotReadyError"


def test_claim_6_5_a_library_without_a_driver_is_a_machine_without_gpus(simulated_nvml: SimulatedNvml) -> None:
    seen = listed(simulated_nvml, h100(0), faults=(Fault("init", "DRIVER_NOT_LOADED"),))
    assert (seen["installed"], seen["usable"]) == ([], [])
    assert seen["driver"] is Path("/proc/driver/nvidia/version").exists()


def test_claim_6_12_memory_that_comes_back_leaves_both_gpus_healthy(simulated_nvml: SimulatedNvml) -> None:
    idle, full = (h100(0), a100(1)), (h100(0, memory_used_bytes=60 * GIB), a100(1))
    seen = drained(simulated_nvml, idle, full, full, idle)
    assert seen["before"] == {FIRST: 60.5 * GIB, SECOND: 0.5 * GIB}
    assert (seen["reasons"], seen["took_s"]) == ({}, 2)


def test_claim_6_12_memory_that_never_comes_back_makes_that_gpu_unhealthy(simulated_nvml: SimulatedNvml) -> None:
    kept = h100(0, memory_used_bytes=40 * GIB, processes=(Process(4711, 40 * GIB),))
    seen = drained(simulated_nvml, (h100(0), a100(1)), (kept, a100(1)))
    assert seen["took_s"] == 5
    [(uuid, reason)] = seen["reasons"].items()
    assert uuid == FIRST
    assert reason == "40.5 GiB of its memory are still in use by 1 process 5 s after the run (0.5 GiB before it)"


def test_claim_6_12_a_gpu_that_is_lost_after_a_run_is_unhealthy_and_the_other_is_not(
    simulated_nvml: SimulatedNvml,
) -> None:
    seen = drained(simulated_nvml, (h100(0), a100(1)), (h100(0).lost(), a100(1)))
    assert seen["before"] == {FIRST: None, SECOND: 0.5 * GIB}
    assert seen["reasons"] == {FIRST: "it cannot be read any more: NVML does not answer for it"}


def test_claim_6_12_of_a_board_that_does_not_tell_its_memory_nothing_is_claimed(simulated_nvml: SimulatedNvml) -> None:
    silent = h100(0).with_faults(Fault("memory", "NOT_SUPPORTED"))
    seen = drained(simulated_nvml, (silent,), (silent,))
    assert (seen["before"], seen["reasons"], seen["took_s"]) == ({FIRST: None}, {}, 0)
