"""The boards of a run on the simulated library: those that were allocated, and no others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from simulated_nvml import Board, Settings, h100
from simulated_nvml.fixtures import SimulatedNvml

from llem_runner.allocated import cuda_environment
from llem_runner.power.boards import Family
from llem_runner.power.sensors import Board as SensorBoard

# pynvml loads its library once per process.
LOOK = """
import json, os, sys
from llem_runner.allocated import allocated_boards, cuda_environment
from llem_runner.contract import Allocation, RunFailed
try:
    boards = allocated_boards(Allocation(host="h", gpu_uuids=tuple(sys.argv[1:])), os.environ)
    print(json.dumps({"uuids": [b.uuid for b in boards], "cuda": cuda_environment(boards), "scopes":
                      [[b.counter_scope, b.power_scope] for b in boards]}))
except RunFailed as failed:
    print(json.dumps({"kind": failed.kind, "message": failed.message}))
"""


@pytest.fixture
def look(simulated_nvml: SimulatedNvml) -> Any:
    def _look(boards: tuple[Board, ...], *uuids: str, visible: str | None = None) -> Any:
        simulated_nvml.write(Settings(boards=boards))
        environment = {**os.environ, **simulated_nvml.env}
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        if visible is not None:
            environment["CUDA_VISIBLE_DEVICES"] = visible
        command = [sys.executable, "-c", LOOK, *uuids]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(said.stdout)

    return _look


FIRST, SECOND = h100(0), h100(1, uuid="GPU-99999999-0000-4000-8000-000000000000")


@pytest.mark.parametrize("visible", [None, "0,1", "1,0", SECOND.uuid, f"{FIRST.uuid},{SECOND.uuid}", "GPU-9999"])
def test_claim_13_boards_are_those_allocated(look: Any, visible: str | None) -> None:
    assert look((FIRST, SECOND), SECOND.uuid, visible=visible)["uuids"] == [SECOND.uuid]


@pytest.mark.parametrize("visible", ["0", FIRST.uuid, "", "7"])
def test_claim_13_a_board_that_cuda_would_not_see_is_a_backend_error(look: Any, visible: str) -> None:
    seen = look((FIRST, SECOND), SECOND.uuid, visible=visible)
    assert seen["kind"] == "backend"
    assert SECOND.uuid in seen["message"]


def test_claim_13_a_board_that_is_not_here_is_a_backend_error(look: Any) -> None:
    seen = look((FIRST,), SECOND.uuid)
    assert seen["kind"] == "backend"
    assert "not visible here" in seen["message"]


@pytest.mark.parametrize("visible", [None, FIRST.uuid])
def test_a_lost_board_that_was_not_allocated_ends_no_run(look: Any, visible: str | None) -> None:
    assert look((FIRST, SECOND.lost()), FIRST.uuid, visible=visible)["uuids"] == [FIRST.uuid]


def test_a_lost_board_shifts_the_numbers_of_the_others_and_ends_a_run_that_counts(look: Any) -> None:
    assert look((FIRST, SECOND.lost()), FIRST.uuid, visible="0")["kind"] == "gpu_lost"


def test_claim_8_a_lost_board_that_was_allocated_is_gpu_lost(look: Any) -> None:
    seen = look((FIRST, SECOND.lost()), SECOND.uuid)
    assert seen["kind"] == "gpu_lost"
    assert SECOND.uuid in seen["message"]


def test_a_part_of_a_board_is_refused_with_the_reason(look: Any) -> None:
    seen = look((FIRST,), "MIG-1234", visible="MIG-1234")
    assert seen["kind"] == "backend"
    assert "MIG is on" in seen["message"]


def test_claim_13_an_engine_sees_the_allocated_boards_only_in_their_order_and_by_uuid() -> None:
    boards = [
        SensorBoard(uuid, 0, "NVIDIA H100", "", Family.HOPPER, False, (), None, "gpu", "gpu", None)
        for uuid in ("GPU-b", "GPU-a")
    ]
    assert cuda_environment(boards) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "GPU-b,GPU-a"}


def test_simulated_boards_are_none_of_cudas(look: Any) -> None:
    assert look((FIRST,), FIRST.uuid)["cuda"] == {}
    assert cuda_environment(()) == {}


def test_the_scope_of_the_power_is_told_beside_that_of_the_counter(look: Any) -> None:
    boards = (replace(FIRST, counter_scope="module"), replace(SECOND, power_scope="module", counter_scope="module"))
    assert look(boards, FIRST.uuid, SECOND.uuid)["scopes"] == [["module", "gpu"], ["module", "module"]]
