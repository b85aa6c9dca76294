"""The real pynvml on the simulated library: boards as they are, and a named outcome for all that can be wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from simulated_nvml import Board, Fault, Settings, a100, h100, p100
from simulated_nvml.fixtures import SimulatedNvml

# pynvml loads its library once per process, so each look at the sensors is a process of its own.
LOOK = """
import dataclasses, json, os
from llem_runner.power.outcomes import GpuLost, SensorsUnavailable
from llem_runner.power.sensors import Sensors
try:
    with Sensors.open(os.environ) as sensors:
        boards = [dataclasses.asdict(board) for board in sensors.boards()]
        readings = [dataclasses.asdict(sensors.read(board["uuid"], slow=True)) for board in boards]
        print(json.dumps({"boards": boards, "readings": readings}))
except SensorsUnavailable as unavailable:
    print(json.dumps({"outcome": unavailable.outcome, "message": unavailable.message}))
except GpuLost as lost:
    print(json.dumps({"outcome": "gpu_lost", "message": lost.message}))
"""


def look(env: dict[str, str]) -> Any:
    command = [sys.executable, "-c", LOOK]
    said = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(said.stdout)


def look_at(nvml: SimulatedNvml, *boards: Board, faults: tuple[Fault, ...] = (), **env: str) -> Any:
    nvml.write(Settings(boards=boards, faults=faults))
    return look({**nvml.env, **env})


def test_boards_are_listed_with_what_they_answer(simulated_nvml: SimulatedNvml) -> None:
    hopper, pascal = look_at(simulated_nvml, h100(0), p100(1))["boards"]
    assert hopper["uuid"] == h100(0).uuid
    assert hopper["pci_bus_id"].endswith("10:00.0")
    assert (hopper["family"], hopper["simulated"], hopper["counter_scope"]) == ("hopper", True, "gpu")
    assert {"counter_mj", "power_average_w", "power_instant_w", "temperature_c"} <= set(hopper["readings"])
    assert (pascal["family"], pascal["counter_scope"]) == ("pascal", None)
    assert "power_w" in pascal["readings"]
    assert "counter_mj" not in pascal["readings"]


def test_a_counter_of_the_module_is_read_there_and_said_to_be_the_modules(simulated_nvml: SimulatedNvml) -> None:
    board = h100(0, counter_scope="module", power_scope="module", module_extra_w=55.0)
    seen = look_at(simulated_nvml, board)
    assert seen["boards"][0]["counter_scope"] == "module"
    assert seen["readings"][0]["power_instant_w"] == 355.0


def test_a_driver_without_field_values_falls_back_to_the_plain_functions(simulated_nvml: SimulatedNvml) -> None:
    seen = look_at(simulated_nvml, a100(0).with_faults(Fault("field_values", "NOT_SUPPORTED")))
    assert seen["boards"][0]["counter_scope"] == "gpu"
    assert seen["readings"][0]["counter_mj"] > 0
    assert seen["readings"][0]["power_w"] == 288.0


def test_energy_of_a_board_with_mig_is_refused_with_the_reason(simulated_nvml: SimulatedNvml) -> None:
    seen = look_at(simulated_nvml, a100(0, mig=True))
    assert "MIG" in seen["boards"][0]["energy_refusal"]


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault("init", "DRIVER_NOT_LOADED"), "driver_not_loaded"),
        (Fault("init", "LIB_RM_VERSION_MISMATCH"), "version_mismatch"),
        (Fault("init", "NO_PERMISSION"), "permission_denied"),
        (Fault("init", "FUNCTION_NOT_FOUND"), "library_too_old"),
        (Fault("init", "UNKNOWN"), "access_lost"),
        (Fault("init", "MEMORY"), "failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.code,
)
def test_an_nvml_that_cannot_be_opened_has_a_named_outcome(
    simulated_nvml: SimulatedNvml, fault: Fault, outcome: str
) -> None:
    seen = look_at(simulated_nvml, h100(0), faults=(fault,))
    assert seen["outcome"] == outcome
    assert seen["message"]


def test_no_visible_device_is_an_outcome_of_its_own(simulated_nvml: SimulatedNvml) -> None:
    assert look_at(simulated_nvml, h100(0), NVIDIA_VISIBLE_DEVICES="none")["outcome"] == "no_devices"


def test_a_missing_library_is_an_outcome_of_its_own() -> None:
    seen = look({"LD_LIBRARY_PATH": ""})
    if "boards" in seen:
        pytest.skip("this machine has a real NVML library")
    assert seen["outcome"] in ("library_missing", "driver_not_loaded", "no_devices")


def test_a_lost_board_is_gpu_lost(simulated_nvml: SimulatedNvml) -> None:
    assert look_at(simulated_nvml, h100(0).lost())["outcome"] == "gpu_lost"
