"""Containers on the test engine see the simulated GPUs that they asked for, and no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import docker
import pytest
from docker_engine import BASE_IMAGE, ENVIRONMENT_VARIABLE, LIBRARY_VARIABLE, Engine, SimulatedGpus
from engine_commands import docker_engine, overrides_in_force
from engine_containers import gpus, python_with_pynvml, ran, started
from llem_process import wait_until
from simulated_nvml import Fault, Settings, a100, build_library, h100

FIRST, SECOND = h100(0).uuid, h100(1).uuid
NO_LIBRARY = "NVMLError_LibraryNotFound"

LOOK = """
import json, os, pynvml as n
try:
    n.nvmlInit()
    devices = [n.nvmlDeviceGetHandleByIndex(i) for i in range(n.nvmlDeviceGetCount())]
    print(json.dumps([[n.nvmlDeviceGetUUID(d), n.nvmlDeviceGetName(d)] for d in devices]))
except n.NVMLError as error:
    print(json.dumps(type(error).__name__))
"""
# Ends when the board is lost.
WATCH = """
import time, pynvml as n
n.nvmlInit()
device = n.nvmlDeviceGetHandleByIndex(0)
try:
    while True:
        print("power_mw", n.nvmlDeviceGetPowerUsage(device))
        time.sleep(0.02)
except n.NVMLError as error:
    print("ended", type(error).__name__)
"""
COUNTER = """
import pynvml as n
n.nvmlInit()
device = n.nvmlDeviceGetHandleByIndex(0)
try:
    print("counter_mj", n.nvmlDeviceGetTotalEnergyConsumption(device))
except n.NVMLError as error:
    print(type(error).__name__)
"""


def seen(client: Any, **options: Any) -> Any:
    """The UUIDs that NVML shows in a container, or the name of NVML's error."""
    ended = ran(client, BASE_IMAGE, **{**python_with_pynvml(LOOK), **options})
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.output)
    return found if isinstance(found, str) else [uuid for uuid, _ in found]


def printed(client: Any, program: str, **options: Any) -> str:
    """What a program prints in a container that has the first board."""
    ended = ran(client, BASE_IMAGE, **{**python_with_pynvml(program), "device_requests": gpus(FIRST), **options})
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.mark.parametrize(
    ("request_", "visible"),
    [
        (gpus(FIRST), [FIRST]),
        (gpus(SECOND), [SECOND]),
        (gpus(SECOND, FIRST), [FIRST, SECOND]),
        (gpus(count=-1), [FIRST, SECOND]),
        (gpus(SECOND, capabilities=("gpu",)), [SECOND]),
    ],
)
def test_claim_6_2_a_container_sees_the_gpus_it_asked_for_and_no_others(
    client: Any, engine_gpus: SimulatedGpus, request_: Any, visible: list[str]
) -> None:
    assert seen(client, device_requests=request_) == visible


def test_claim_6_2_a_container_that_asks_for_none_has_no_nvml(client: Any, engine_gpus: SimulatedGpus) -> None:
    assert seen(client) == NO_LIBRARY
    only_a_variable = {**python_with_pynvml(LOOK)["environment"], "NVIDIA_VISIBLE_DEVICES": "all"}
    assert seen(client, environment=only_a_variable) == NO_LIBRARY
    assert seen(client, device_requests=gpus(FIRST, capabilities=("gpu", "compute"))) == NO_LIBRARY


def test_claim_6_2_the_boards_of_the_settings_file_are_those_of_the_next_container(
    client: Any, engine_gpus: SimulatedGpus
) -> None:
    engine_gpus.write(Settings(boards=(a100(5),)))
    ended = ran(client, BASE_IMAGE, **python_with_pynvml(LOOK), device_requests=gpus(a100(5).uuid))
    assert json.loads(ended.output) == [[a100(5).uuid, "NVIDIA A100-SXM4-80GB (simulated)"]]


def test_claim_6_2_a_gpu_can_be_lost_under_a_running_container(client: Any, engine_gpus: SimulatedGpus) -> None:
    options = {**python_with_pynvml(WATCH), "device_requests": gpus(FIRST)}
    with started(client, BASE_IMAGE, **options) as container:
        wait_until("a reading in the container", lambda: b"power_mw 300000" in container.logs())
        engine_gpus.write(Settings(boards=(h100(0, faults=(Fault("all", "GPU_IS_LOST"),)), h100(1))))
        assert container.wait(timeout=60)["StatusCode"] == 0
        assert container.logs().decode().splitlines()[-1] == "ended NVMLError_GpuIsLost"


def test_claim_6_2_another_library_takes_the_place_of_ours_without_a_restart(
    client: Any, engine: Engine, engine_gpus: SimulatedGpus, tmp_path: Path
) -> None:
    other = tmp_path / "other-name.so"
    shutil.copyfile(build_library("no-energy-symbols") / "libnvidia-ml.so.1", other)
    process = engine.daemon.process()
    assert printed(client, COUNTER).startswith("counter_mj ")
    engine_gpus.configure({LIBRARY_VARIABLE: str(other)})
    assert printed(client, COUNTER) == "NVMLError_FunctionNotFound\n"
    engine_gpus.configure({})
    assert printed(client, COUNTER).startswith("counter_mj ")
    assert engine.daemon.process() == process


def test_claim_6_2_lines_of_a_file_join_the_environment_and_are_read_at_each_start(
    client: Any, engine_gpus: SimulatedGpus, tmp_path: Path
) -> None:
    variables = tmp_path / "variables"
    show = "import os; print(os.environ.get('LLEM_TEST_WORD'), os.environ['LLEM_SIMULATED_NVML'])"
    engine_gpus.configure({ENVIRONMENT_VARIABLE: str(variables)})
    for word in ("one", "two=2"):
        variables.write_text(f"# a comment\nLLEM_TEST_WORD={word}\n")
        assert printed(client, show) == f"{word} 1\n"
    assert printed(client, "import os; print(os.environ.get('LLEM_TEST_WORD'))", device_requests=[]) == "None\n"


def test_claim_6_2_engine_up_takes_both_overrides_from_its_own_environment(engine: Engine, tmp_path: Path) -> None:
    library, variables = build_library() / "libnvidia-ml.so.1", tmp_path / "variables"
    variables.touch()
    engine_process = engine.daemon.process()
    settings = engine.gpus.runtime.parent / "settings.json"
    before, restoring = settings.read_text(), overrides_in_force(engine)
    try:
        docker_engine("up", env={LIBRARY_VARIABLE: str(library), ENVIRONMENT_VARIABLE: str(variables)})
        found = json.loads(settings.read_text())
        assert (found["library"], found["environment"]) == (str(library), str(variables))
    finally:
        docker_engine("up", env=restoring)
    assert settings.read_text() == before
    assert engine.daemon.process() == engine_process


def test_claim_6_2_the_hook_can_play_a_broken_driver(client: Any, engine_gpus: SimulatedGpus) -> None:
    engine_gpus.refuse("nvidia-container-cli: initialization error: nvml error: driver not loaded")
    with pytest.raises(docker.errors.APIError, match="nvidia-container-cli: initialization error"):
        seen(client, device_requests=gpus(FIRST))
    assert seen(client) == NO_LIBRARY
    engine_gpus.refuse(None)
    assert seen(client, device_requests=gpus(FIRST)) == [FIRST]
