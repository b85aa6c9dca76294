"""NVML, opened and listed: which boards are here, which of their readings answer, and what they say.

Boards are addressed by UUID, never by index: an index depends on what else is visible.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import pynvml

from llem_runner.power.board_state import board_state
from llem_runner.power.boards import Family, family_of, is_simulated
from llem_runner.power.nvml_errors import ask, ask_energy, lost, unavailable
from llem_runner.power.outcomes import GpuLost, SensorOutcome, SensorsUnavailable
from llem_runner.power.probe import Handle, Plan, probe, read_fields, read_slow
from llem_runner.power.readings import NOT_READ, Reading
from llem_runner.power.visible import PhysicalBoard

T = TypeVar("T")

MIG_REFUSAL = "MIG is on: a reading is the whole board's, and no energy can be attributed to a part of it"


@dataclass(frozen=True)
class Board:
    """One GPU as NVML describes it, and what it can tell.

    `index` is NVML's and for people only. `readings` names the columns of a reading that the board answers;
    `counter_scope` and `power_scope` are "gpu" or "module" (on GH200 the counter is the whole module's), None without a
    counter, or a power reading.
    `energy_refusal` says why no energy may be attributed to work on this board (MIG), None where it may.
    """

    uuid: str
    index: int
    name: str
    pci_bus_id: str
    family: Family
    simulated: bool
    readings: tuple[str, ...]
    driver: str | None
    counter_scope: str | None
    power_scope: str | None
    energy_refusal: str | None
    power_limit_w: float | None = None
    """The limit that is enforced, in watt; None where the board has none or does not tell."""
    memory_reserved_bytes: int | None = None
    """What the driver keeps for itself: part of every reading of the memory in use. None: it does not tell."""
    memory_total_bytes: int | None = None
    """All that it has, what the driver keeps included."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """How it was set up when it was described: see `board_state`."""


class Sensors:
    """An open NVML library. Use as a context manager, or call `close`.

    `open` raises `SensorsUnavailable` with one of the named outcomes; everything later raises `GpuLost`.
    """

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._environment = environment
        self._clock = clock
        self._plans: dict[str, tuple[Handle, Plan]] = {}

    @classmethod
    def open(cls, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> Sensors:
        """Open the NVML library that the loader finds; `environment` is asked only for the simulation's marker."""
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise unavailable(error) from error
        try:
            if not pynvml.nvmlDeviceGetCount():
                raise SensorsUnavailable(
                    SensorOutcome.NO_DEVICES, "NVML is here but shows no GPU: none is visible to this process"
                )
        except pynvml.NVMLError as error:
            pynvml.nvmlShutdown()
            raise unavailable(error) from error
        except SensorsUnavailable:
            pynvml.nvmlShutdown()
            raise
        return cls(environment, clock)

    def close(self) -> None:
        """Let go of NVML; nothing can be read afterwards."""
        self._plans.clear()
        # A library whose boards are gone may refuse even this; there is nothing left to let go of then.
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()

    def __enter__(self) -> Sensors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def shows(self, uuid: str) -> bool:
        """Whether NVML knows a board `uuid` here. Raises `GpuLost` where it does and the board is gone."""
        try:
            pynvml.nvmlDeviceGetHandleByUUID(uuid)
        except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
            return False
        except pynvml.NVMLError as error:
            raise lost(error.value, uuid) from error
        return True

    def physical_boards(self, *, skip_lost: bool) -> tuple[PhysicalBoard, ...]:
        """UUID and place of every board, in NVML's order.

        One that is lost raises `GpuLost`: left out, it would shift the numbers by which CUDA names the others. Where
        nobody counts it may be skipped.
        """
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                found.append(self._physical(self._handle_at(index), index))
            except GpuLost:
                if not skip_lost:
                    raise
        return tuple(found)

    def boards(self) -> tuple[Board, ...]:
        """All boards that NVML shows, in its order.

        One that is lost already raises `GpuLost`: left out, it would shift the numbers by which CUDA names the others.
        """
        return tuple(self._describe(self._handle_at(index), index) for index in range(pynvml.nvmlDeviceGetCount()))

    def board(self, uuid: str) -> Board:
        """The board with `uuid`."""
        handle, _ = self._plan(uuid)
        return self._describe(handle, _must(lambda: pynvml.nvmlDeviceGetIndex(handle), uuid))

    def read(self, uuid: str, *, slow: bool) -> Reading:
        """Read the board `uuid` now, the slowly changing readings only if `slow`."""
        handle, plan = self._plan(uuid)
        before_s = self._clock()
        milli = read_fields(handle, uuid, plan.fields)
        if plan.counter_mj is not None:
            _keep(milli, "counter_mj", ask_energy(partial(plan.counter_mj, handle), uuid))
        if plan.power_mw is not None:
            _keep(milli, "power_w", ask_energy(partial(plan.power_mw, handle), uuid))
        after_s = self._clock()
        return Reading(
            uuid=uuid,
            before_s=before_s,
            after_s=after_s,
            counter_mj=milli.get("counter_mj"),
            power_w=_watts(milli.get("power_w")),
            power_average_w=_watts(milli.get("power_average_w")),
            power_instant_w=_watts(milli.get("power_instant_w")),
            slow=read_slow(handle, uuid, plan) if slow else NOT_READ,
        )

    def _physical(self, handle: Handle, index: int) -> PhysicalBoard:
        uuid = _must(lambda: pynvml.nvmlDeviceGetUUID(handle), f"number {index}")
        return PhysicalBoard(uuid, _must(lambda: _text(pynvml.nvmlDeviceGetPciInfo_v3(handle).busId), uuid))

    def _handle_at(self, index: int) -> Handle:
        return _must(lambda: pynvml.nvmlDeviceGetHandleByIndex(index), f"number {index}")

    def _plan(self, uuid: str) -> tuple[Handle, Plan]:
        if uuid not in self._plans:
            handle = _must(lambda: pynvml.nvmlDeviceGetHandleByUUID(uuid), uuid)
            self._plans[uuid] = (handle, probe(handle, uuid))
        return self._plans[uuid]

    def _describe(self, handle: Handle, index: int) -> Board:
        physical = self._physical(handle, index)
        uuid = physical.uuid
        name = _must(lambda: pynvml.nvmlDeviceGetName(handle), uuid)
        _, plan = self._plan(uuid)
        mig = ask(lambda: pynvml.nvmlDeviceGetMigMode(handle)[0], uuid)
        return Board(
            uuid=uuid,
            index=index,
            name=name,
            pci_bus_id=physical.pci_bus_id,
            family=family_of(name),
            simulated=is_simulated(name, self._environment),
            readings=plan.columns,
            driver=ask(pynvml.nvmlSystemGetDriverVersion, uuid),
            counter_scope=plan.counter_scope,
            power_scope=plan.power_scope,
            energy_refusal=MIG_REFUSAL if mig == pynvml.NVML_DEVICE_MIG_ENABLE else None,
            power_limit_w=_watts(ask(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle), uuid)),
            memory_reserved_bytes=ask(lambda: _reserved_bytes(handle), uuid),
            memory_total_bytes=ask(lambda: int(pynvml.nvmlDeviceGetMemoryInfo(handle).total), uuid),
            state=board_state(handle, uuid),
        )


def _must(call: Callable[[], T], board: str) -> T:
    """The answer of a call that every board gives. Raises `GpuLost` where this one does not."""
    try:
        return call()
    except pynvml.NVMLError as error:
        raise lost(error.value, board) from error


def _keep(found: dict[str, int], column: str, value: int | None) -> None:
    if value is not None:
        found[column] = value


def _reserved_bytes(handle: Handle) -> int:
    # Only the second version of the call tells it apart from what is in use.
    return int(pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).reserved)


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
