"""What this place has: GPUs, NVML and packages, as JSON, for a host that cannot look itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pydantic

from llem_runner.contract import CONTRACT_VERSION
from llem_runner.environment import installed_versions
from llem_runner.power.outcomes import GpuLost, SensorsUnavailable
from llem_runner.power.sensors import Board, Sensors

_ENGINES = ("torch", "transformers", "vllm")
_GPU_LOST = "gpu_lost"


def probe(environment: Mapping[str, str]) -> dict[str, Any]:
    """JSON values: `nvml` {outcome, message}, `gpus` [{…}], `python`, `pydantic`, `contract_version`, `engines`.

    `engines` are the versions of those that are installed. Where a GPU is lost, `gpus` are those that still answer.
    """
    nvml, gpus = _look(environment)
    return {
        "nvml": nvml,
        "gpus": gpus,
        "python": sys.version.split()[0],
        "pydantic": pydantic.VERSION,
        "contract_version": CONTRACT_VERSION,
        "engines": installed_versions(*_ENGINES),
    }


def _look(environment: Mapping[str, str]) -> tuple[dict[str, str | None], list[dict[str, Any]]]:
    try:
        with Sensors.open(environment) as sensors:
            try:
                gpus = [_describe(sensors, board) for board in sensors.boards()]
            except GpuLost as lost:
                return _outcome(_GPU_LOST, lost.message), list(_that_answer(sensors))
    except SensorsUnavailable as error:
        return _outcome(str(error.outcome), error.message), []
    return _outcome("ok", None), gpus


def _outcome(outcome: str, message: str | None) -> dict[str, str | None]:
    return {"outcome": outcome, "message": message}


def _that_answer(sensors: Sensors) -> Iterator[dict[str, Any]]:
    for physical in sensors.physical_boards(skip_lost=True):
        with suppress(GpuLost):
            yield _describe(sensors, sensors.board(physical.uuid))


def _describe(sensors: Sensors, board: Board) -> dict[str, Any]:
    return {
        "uuid": board.uuid,
        "index": board.index,
        "name": board.name,
        "pci_bus_id": board.pci_bus_id,
        "simulated": board.simulated,
        "memory_used_bytes": sensors.read(board.uuid, slow=True).slow.memory_used_bytes,
        "memory_reserved_bytes": board.memory_reserved_bytes,
        "memory_total_bytes": board.memory_total_bytes,
        "driver": board.driver,
        "cuda_driver": board.state.get("cuda_driver"),
        "readings": list(board.readings),
    }
