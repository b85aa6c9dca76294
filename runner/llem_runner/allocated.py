"""The boards that a run was given: here, visible to CUDA, and no others beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llem_runner.contract import Allocation, FailureKind, RunFailed
from llem_runner.power.sensors import MIG_REFUSAL, Board, Sensors
from llem_runner.power.visible import MIG_PREFIX, names_only_uuids, visible_uuids


def allocated_boards(allocation: Allocation, environment: Mapping[str, str]) -> tuple[Board, ...]:
    """The boards of `allocation`, in its order; boards that are not named there are not touched.

    Raises RunFailed of kind backend for a part of a board (MIG) and for a board that the process cannot compute on,
    SensorsUnavailable where NVML cannot be read, GpuLost where a board is gone.
    """
    part = next((uuid for uuid in allocation.gpu_uuids if uuid.upper().startswith(MIG_PREFIX)), None)
    if part is not None:
        raise RunFailed(FailureKind.BACKEND, f"{part} was allocated to this run. {MIG_REFUSAL}. Allocate whole boards.")
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    with Sensors.open(environment) as sensors:
        missing = [uuid for uuid in allocation.gpu_uuids if not sensors.shows(uuid)]
        visible = visible_uuids(chosen, sensors.physical_boards(skip_lost=names_only_uuids(chosen)))
        hidden = missing or [uuid for uuid in allocation.gpu_uuids if uuid not in visible]
        if hidden:
            raise RunFailed(
                FailureKind.BACKEND,
                f"GPU {', '.join(hidden)} was allocated to this run but is not visible here (CUDA_VISIBLE_DEVICES="
                f"{chosen}): it would be measured while another one computes.",
            )
        return tuple(sensors.board(uuid) for uuid in allocation.gpu_uuids)


def cuda_environment(boards: Sequence[Board]) -> dict[str, str]:
    """Variables that make an engine see `boards` and nothing else, in this order.

    Whoever sees more may compute on another board than on the one that is measured. Simulated boards are none of
    CUDA's: it would see nothing at all.
    """
    if not boards or any(board.simulated for board in boards):
        return {}
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(board.uuid for board in boards),
    }
