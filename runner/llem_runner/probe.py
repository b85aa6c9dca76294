"""What this place has: GPUs and NVML, as JSON, for a host that cannot look itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem_runner.power.outcomes import SensorsUnavailable
from llem_runner.power.sensors import Sensors


def probe(environment: Mapping[str, str]) -> dict[str, Any]:
    """`{"nvml": {"outcome", "message"}, "gpus": [{"uuid", "name", "pci_bus_id", "simulated", "readings"}]}`."""
    try:
        with Sensors.open(environment) as sensors:
            boards = sensors.boards()
    except SensorsUnavailable as error:
        return {"nvml": {"outcome": str(error.outcome), "message": str(error)}, "gpus": []}
    return {
        "nvml": {"outcome": "ok", "message": None},
        "gpus": [
            {
                "uuid": board.uuid,
                "index": board.index,
                "name": board.name,
                "pci_bus_id": board.pci_bus_id,
                "simulated": board.simulated,
                "readings": list(board.readings),
            }
            for board in boards
        ],
    }
