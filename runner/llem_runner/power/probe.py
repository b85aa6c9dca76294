"""How each reading is asked of one board: found once when it is opened, used for every sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pynvml

from llem_runner.power.nvml_errors import ask, ask_energy, check_lost, exists, never_answers
from llem_runner.power.readings import Slow

Handle = Any
SCOPE_NAMES = {pynvml.NVML_POWER_SCOPE_GPU: "gpu", pynvml.NVML_POWER_SCOPE_MODULE: "module"}

_FIELD_OF_COLUMN = {
    "counter_mj": pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
    "power_average_w": pynvml.NVML_FI_DEV_POWER_AVERAGE,
    "power_instant_w": pynvml.NVML_FI_DEV_POWER_INSTANT,
}
# nvmlValueType_t → the member of the union that holds the value.
_UNION_MEMBER = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")


@dataclass(frozen=True)
class FieldPlan:
    """The batched call of one board: columns, and the (field, scope) pair that answers each. `scope` per column."""

    columns: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]

    def scope(self, column: str) -> str | None:
        """The name of the scope in which `column` is read; None if it is not."""
        if column not in self.columns:
            return None
        return SCOPE_NAMES[self.pairs[self.columns.index(column)][1]]


@dataclass(frozen=True)
class Plan:
    """Everything that is asked of one board. `counter_mj` and `power_mw` are calls of their own where fields fail."""

    fields: FieldPlan
    counter_mj: Callable[[Handle], int] | None
    power_mw: Callable[[Handle], int] | None
    slow: dict[str, Callable[[Handle], int]]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a reading that this board answers."""
        called = {"counter_mj": self.counter_mj, "power_w": self.power_mw}
        return (*self.fields.columns, *(name for name, call in called.items() if call), *self.slow)

    @property
    def counter_scope(self) -> str | None:
        """ "gpu" or "module"; None without a counter."""
        return self.fields.scope("counter_mj") or ("gpu" if self.counter_mj else None)

    @property
    def power_scope(self) -> str | None:
        """Of the power reading that is used first: instant, plain, average. None where there is none."""
        instant, average = self.fields.scope("power_instant_w"), self.fields.scope("power_average_w")
        return instant or ("gpu" if self.power_mw else average)


def _newest_first(*names: str) -> Callable[[Handle], Any]:
    """A call of the first of `names` that this NVML library has: old drivers lack the new, new ones the old."""

    def call(handle: Handle) -> Any:
        for name in names[:-1]:
            try:
                return getattr(pynvml, name)(handle)
            except pynvml.NVMLError_FunctionNotFound:
                continue
        return getattr(pynvml, names[-1])(handle)

    return call


_throttle_reasons = _newest_first("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
_processes = _newest_first("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2")


def _temperature_c(handle: Handle) -> int:
    try:
        return int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
    except pynvml.NVMLError_FunctionNotFound:
        return int(pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU))


_SLOW_CALLS: dict[str, Callable[[Handle], int]] = {
    "temperature_c": _temperature_c,
    "sm_clock_mhz": lambda handle: int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
    "memory_clock_mhz": lambda handle: int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM)),
    "utilisation_percent": lambda handle: int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
    "memory_used_bytes": lambda handle: int(pynvml.nvmlDeviceGetMemoryInfo(handle).used),
    "throttle_reasons": lambda handle: int(_throttle_reasons(handle)),
    "compute_processes": lambda handle: len(_processes(handle)),
}


def probe(handle: Handle, uuid: str) -> Plan:
    """Find what the board answers, and how. Raises `GpuLost`."""
    fields = _probe_fields(handle, uuid)
    counter = pynvml.nvmlDeviceGetTotalEnergyConsumption
    power = pynvml.nvmlDeviceGetPowerUsage
    return Plan(
        fields=fields,
        counter_mj=None if "counter_mj" in fields.columns else _if_exists(counter, handle, uuid),
        # The plain power reading repeats one of the two fields where they answer: not worth a second call then.
        power_mw=None if "power_instant_w" in fields.columns else _if_exists(power, handle, uuid),
        slow={name: call for name, call in _SLOW_CALLS.items() if exists(partial(call, handle), uuid)},
    )


def read_fields(handle: Handle, uuid: str, plan: FieldPlan) -> dict[str, int]:
    """Values of the batched call, in millijoule and milliwatt; what has no answer just now is left out."""
    if not plan.pairs:
        return {}
    answered = ask_energy(lambda: pynvml.nvmlDeviceGetFieldValues(handle, plan.pairs), uuid)
    found: dict[str, int] = {}
    for column, value in zip(plan.columns, answered or (), strict=False):
        if value.nvmlReturn == pynvml.NVML_SUCCESS:
            found[column] = int(getattr(value.value, _UNION_MEMBER[value.valueType]))
        else:
            check_lost(value.nvmlReturn, uuid)
    return found


def read_slow(handle: Handle, uuid: str, plan: Plan) -> Slow:
    """The slowly changing readings. Raises `GpuLost`."""
    return Slow(**{name: ask(partial(call, handle), uuid) for name, call in plan.slow.items()})


def _if_exists(call: Callable[[Handle], int], handle: Handle, uuid: str) -> Callable[[Handle], int] | None:
    return call if exists(partial(call, handle), uuid) else None


def _probe_fields(handle: Handle, uuid: str) -> FieldPlan:
    columns: list[str] = []
    pairs: list[tuple[int, int]] = []
    for column, field in _FIELD_OF_COLUMN.items():
        for scope in SCOPE_NAMES:
            if _field_exists(handle, uuid, (field, scope)):
                columns.append(column)
                pairs.append((field, scope))
                break
    return FieldPlan(tuple(columns), tuple(pairs))


def _field_exists(handle: Handle, uuid: str, pair: tuple[int, int]) -> bool:
    answered = ask(lambda: pynvml.nvmlDeviceGetFieldValues(handle, [pair]), uuid)
    if not answered:
        return False
    check_lost(answered[0].nvmlReturn, uuid)
    return not never_answers(answered[0].nvmlReturn)
