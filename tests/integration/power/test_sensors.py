"""The real pynvml on the simulated library: boards as they are, and a named outcome for all that can be wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from simulated_nvml import Board, Fault, Process, Settings, a100, h100, p100
from simulated_nvml.fixtures import SimulatedNvml

from llem_runner.power.readings import COLUMNS

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


def test_claim_7_3_boards_are_listed_with_what_they_answer(simulated_nvml: SimulatedNvml) -> None:
    hopper, pascal = look_at(simulated_nvml, h100(0), p100(1))["boards"]
    assert hopper["uuid"] == h100(0).uuid
    assert hopper["pci_bus_id"].endswith("10:00.0")
    assert (hopper["family"], hopper["simulated"], hopper["counter_scope"]) == ("hopper", True, "gpu")
    assert {"counter_mj", "power_average_w", "power_instant_w", "temperature_c"} <= set(hopper["readings"])
    assert (pascal["family"], pascal["counter_scope"]) == ("pascal", None)
    assert "power_w" in pascal["readings"]
    assert "counter_mj" not in pascal["readings"]


def test_claim_7_3_a_counter_of_the_module_is_read_there_and_said_to_be_the_modules(
    simulated_nvml: SimulatedNvml,
) -> None:
    board = h100(0, counter_scope="module", power_scope="module", module_extra_w=55.0)
    seen = look_at(simulated_nvml, board)
    assert seen["boards"][0]["counter_scope"] == "module"
    assert seen["readings"][0]["power_instant_w"] == 355.0


def test_claim_7_3_a_driver_without_field_values_falls_back_to_the_plain_functions(
    simulated_nvml: SimulatedNvml,
) -> None:
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
def test_claim_7_3_an_nvml_that_cannot_be_opened_has_a_named_outcome(
    simulated_nvml: SimulatedNvml, fault: Fault, outcome: str
) -> None:
    seen = look_at(simulated_nvml, h100(0), faults=(fault,))
    assert seen["outcome"] == outcome
    assert seen["message"]


def test_claim_7_3_no_visible_device_is_an_outcome_of_its_own(simulated_nvml: SimulatedNvml) -> None:
    assert look_at(simulated_nvml, h100(0), NVIDIA_VISIBLE_DEVICES="none")["outcome"] == "no_devices"


def test_claim_7_3_a_missing_library_is_an_outcome_of_its_own() -> None:
    seen = look({"LD_LIBRARY_PATH": ""})
    if "boards" in seen:
        pytest.skip("this machine has a real NVML library")
    assert seen["outcome"] in ("library_missing", "driver_not_loaded", "no_devices")


@pytest.mark.parametrize("code", ["GPU_IS_LOST", "RESET_REQUIRED", "DRIVER_NOT_LOADED", "UNINITIALIZED"])
def test_claim_7_3_a_lost_board_and_an_nvml_that_was_reset_are_gpu_lost(
    simulated_nvml: SimulatedNvml, code: str
) -> None:
    seen = look_at(simulated_nvml, h100(0).with_faults(Fault("all", code)))
    assert seen["outcome"] == "gpu_lost"
    assert "Xid" in seen["message"]


@pytest.mark.parametrize("code", ["NOT_SUPPORTED", "NO_PERMISSION", "INVALID_ARGUMENT"])
def test_claim_7_3_a_device_that_answers_some_fields_only_is_read_by_those_and_says_which(
    simulated_nvml: SimulatedNvml, code: str
) -> None:
    faults = [Fault(name, code) for name in ("counter", "power_instant", "clocks", "utilisation", "memory")]
    seen = look_at(simulated_nvml, h100(0).with_faults(*faults))
    answered = {"power_average_w", "power_w", "temperature_c", "throttle_reasons", "compute_processes"}
    assert set(seen["boards"][0]["readings"]) == answered
    [reading] = seen["readings"]
    given = {**reading, **reading["slow"]}
    assert {name for name in COLUMNS if given.get(name) is not None} == answered
    assert seen["boards"][0]["counter_scope"] is None


def test_claim_7_3_a_library_without_the_energy_symbols_is_read_by_its_plain_power(
    simulated_nvml: SimulatedNvml,
) -> None:
    seen = look_at(simulated_nvml, h100(0), LD_LIBRARY_PATH=str(simulated_nvml.library / "no-energy-symbols"))
    assert {"counter_mj", "power_instant_w", "power_average_w"}.isdisjoint(seen["boards"][0]["readings"])
    assert seen["readings"][0]["power_w"] == 300.0
    assert seen["readings"][0]["counter_mj"] is None


COUNT = """
import json, os
import pynvml
from llem_runner.power.sensors import Sensors
asked = []
def counted(name, call):
    def count(*arguments):
        asked.append((name, len(arguments[1]) if name == "nvmlDeviceGetFieldValues" else None))
        return call(*arguments)
    return count
with Sensors.open(os.environ) as sensors:
    [board] = sensors.boards()
    for name in dir(pynvml):
        if name.startswith("nvmlDeviceGet"):
            setattr(pynvml, name, counted(name, getattr(pynvml, name)))
    sensors.read(board.uuid, slow=False)
    quick = list(asked)
    print(json.dumps([quick, sensors.read(board.uuid, slow=True).slow.__dict__]))
"""


def test_claim_7_1_counter_instant_and_average_power_come_of_one_batched_call_and_the_rest_less_often(
    simulated_nvml: SimulatedNvml,
) -> None:
    others = (Process(41, 2**30), Process(42, 2**30))
    board = h100(0, temperature_c=51, utilisation_percent=99, throttle_reasons=4, processes=others)
    simulated_nvml.write(Settings(boards=(board,)))
    env = {**os.environ, **simulated_nvml.env}
    said = subprocess.run(
        [sys.executable, "-c", COUNT], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    quick, slow = json.loads(said.stdout)
    assert quick == [["nvmlDeviceGetFieldValues", 3]]
    assert slow == {
        "temperature_c": 51,
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 2619,
        "utilisation_percent": 99,
        "memory_used_bytes": board.memory_reserved_bytes,
        "throttle_reasons": 4,
        "compute_processes": 2,
    }
