"""A simulated board, and boards that behave like known ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .sensor import Sensor
from .shapes import Constant, Shape

_GIB = 1024**3
Scope = Literal["gpu", "module", "both"]


@dataclass(frozen=True)
class Fault:
    """A reading that answers with an NVML error, always or between two moments.

    `code` is NVML's name of it without `NVML_ERROR_`; the readings are listed in the README.
    """

    reading: str
    code: str
    from_unix_s: float = -math.inf
    until_unix_s: float = math.inf

    def words(self) -> str:
        """The value of a `fault` key."""
        return f"{self.reading} {self.code} {self.from_unix_s!r} {self.until_unix_s!r}"


@dataclass(frozen=True)
class Process:
    """A compute process that the board reports."""

    pid: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """Everything that a `[gpuN]` section can say; names, units and defaults are those of the README."""

    uuid: str
    pci_bus_id: str
    minor_number: int
    seed: int
    name: str = "NVIDIA H100 80GB HBM3 (simulated)"
    serial: str = "1650000000000"
    vbios_version: str = "96.00.74.00.01"
    brand: int = 14
    architecture: int = 9
    compute_capability: str = "9.0"

    idle_w: float = 72.0
    power: tuple[Shape, ...] = ()
    counter: Sensor = field(default=Sensor(period_s=0.09998, jitter_s=0.0015, lag_s=0.015))
    instant: Sensor = field(default=Sensor(period_s=0.1, window_s=0.025))
    average: Sensor = field(default=Sensor(period_s=0.1, window_s=1.0))
    power_usage: Literal["instant", "average"] = "average"
    gain: float = 1.0
    counter_scope: Scope = "gpu"
    power_scope: Scope = "gpu"
    module_extra_w: float = 0.0
    counter_offset_mj: float = 0.0
    counter_frozen_at_unix_s: float = math.inf
    counter_reset_at_unix_s: float = math.inf

    temperature_c: int = 40
    utilisation_percent: int = 0
    memory_utilisation_percent: int = 0
    sm_clock_mhz: int = 1980
    memory_clock_mhz: int = 2619
    max_sm_clock_mhz: int = 1980
    max_memory_clock_mhz: int = 2619
    application_sm_clock_mhz: int = 1980
    application_memory_clock_mhz: int = 2619
    throttle_reasons: int = 0
    memory_total_bytes: int = 80 * _GIB
    memory_used_bytes: int = 0
    memory_reserved_bytes: int = _GIB // 2
    processes: tuple[Process, ...] = ()
    power_limit_w: float = 700.0
    default_power_limit_w: float = 700.0
    min_power_limit_w: float = 200.0
    max_power_limit_w: float = 700.0
    ecc: bool = True
    mig: bool = False
    persistence: bool = True
    compute_mode: int = 0
    pcie_generation: int = 5
    pcie_width: int = 16
    max_pcie_generation: int = 5
    max_pcie_width: int = 16
    call_delay_s: float = 0.0
    faults: tuple[Fault, ...] = ()

    def with_faults(self, *faults: Fault) -> Board:
        """The same board with these faults beside its own."""
        return replace(self, faults=(*self.faults, *faults))

    def lost(self, from_unix_s: float = -math.inf) -> Board:
        """The same board, lost now or from a moment on."""
        return replace(self, faults=(Fault("all", "GPU_IS_LOST", from_unix_s), *self.faults))


def h100(number: int = 0, **changes: Any) -> Board:
    """Hopper: counter every 99.98 ms and 15 ms late, instant power of the last 25 ms.

    It draws 300 W all the time unless `power` says something else.
    """
    board = Board(
        uuid=f"GPU-51300000-0000-4000-8000-{number:012d}",
        pci_bus_id=f"00000000:{0x10 + number:02X}:00.0",
        minor_number=number,
        seed=number + 1,
        power=(Constant(watts=228.0),),
    )
    return replace(board, **changes)


def a100(number: int = 0, **changes: Any) -> Board:
    """GA100: the counter is 125 ms late, and `nvmlDeviceGetPowerUsage` is instantaneous."""
    known: dict[str, Any] = {
        "name": "NVIDIA A100-SXM4-80GB (simulated)",
        "architecture": 7,
        "compute_capability": "8.0",
        "idle_w": 60.0,
        "counter": Sensor(period_s=0.1, jitter_s=0.0015, lag_s=0.125),
        "power_usage": "instant",
        **_limits(400.0, 100.0, 400.0),
    }
    return h100(number, **{**known, **changes})


def rtx3090(number: int = 0, **changes: Any) -> Board:
    """Consumer Ampere: instant power of the last 100 ms; the counter's lag is not known of this family."""
    known: dict[str, Any] = {
        "name": "NVIDIA GeForce RTX 3090 (simulated)",
        "brand": 5,
        "architecture": 7,
        "compute_capability": "8.6",
        "idle_w": 30.0,
        "counter": Sensor(period_s=0.1, jitter_s=0.0015, lag_s=0.075),
        "instant": Sensor(period_s=0.1, window_s=0.1),
        "ecc": False,
        "memory_total_bytes": 24 * _GIB,
        **_limits(350.0, 100.0, 385.0),
    }
    return h100(number, **{**known, **changes})


def p100(number: int = 0, **changes: Any) -> Board:
    """Pascal: no counter, and neither of the power fields; only `nvmlDeviceGetPowerUsage`, instantaneous."""
    known: dict[str, Any] = {
        "name": "Tesla P100-PCIE-16GB (simulated)",
        "brand": 2,
        "architecture": 4,
        "compute_capability": "6.0",
        "idle_w": 26.0,
        "power_usage": "instant",
        "memory_total_bytes": 16 * _GIB,
        "faults": tuple(
            Fault(reading, "NOT_SUPPORTED") for reading in ("counter", "power_instant", "power_average", "mig")
        ),
        **_limits(250.0, 125.0, 250.0),
    }
    return h100(number, **{**known, **changes})


def _limits(default_w: float, least_w: float, most_w: float) -> dict[str, float]:
    return {
        "power_limit_w": default_w,
        "default_power_limit_w": default_w,
        "min_power_limit_w": least_w,
        "max_power_limit_w": most_w,
    }
