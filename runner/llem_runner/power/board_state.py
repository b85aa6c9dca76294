"""How a board is set up, as NVML tells it: firmware, limits, clocks, modes, link. Read once, before the run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pynvml

from llem_runner.power.nvml_errors import ask

T = TypeVar("T")
Handle = Any

_COMPUTE_MODES = {
    pynvml.NVML_COMPUTEMODE_DEFAULT: "default",
    pynvml.NVML_COMPUTEMODE_PROHIBITED: "prohibited",
    pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS: "exclusive_process",
}
_CLOCKS = {"sm": pynvml.NVML_CLOCK_SM, "memory": pynvml.NVML_CLOCK_MEM}


def board_state(handle: Handle, uuid: str) -> dict[str, Any]:
    """JSON values; None where the board does not tell. Raises `GpuLost`.

    `clocks_mhz` and `pcie` are of a board at rest: both rise under load. NVML does not tell whether clocks are locked;
    a lock shows in the window, as the clock reason `applications_clocks_setting`.
    """

    def told(call: Callable[..., T], *arguments: Any) -> T | None:
        return ask(partial(call, handle, *arguments), uuid)

    def clocks(call: Callable[..., int]) -> dict[str, int | None]:
        return {name: told(call, clock) for name, clock in _CLOCKS.items()}

    limits_mw = told(pynvml.nvmlDeviceGetPowerManagementLimitConstraints) or (None, None)
    mode = told(pynvml.nvmlDeviceGetComputeMode)
    return {
        "vbios": told(pynvml.nvmlDeviceGetVbiosVersion),
        "power_limit_default_w": _watts(told(pynvml.nvmlDeviceGetPowerManagementDefaultLimit)),
        "power_limit_min_w": _watts(limits_mw[0]),
        "power_limit_max_w": _watts(limits_mw[1]),
        "clocks_mhz": clocks(pynvml.nvmlDeviceGetClockInfo),
        "max_clocks_mhz": clocks(pynvml.nvmlDeviceGetMaxClockInfo),
        "application_clocks_mhz": clocks(pynvml.nvmlDeviceGetApplicationsClock),
        "ecc": _current(told(pynvml.nvmlDeviceGetEccMode)),
        "mig": _current(told(pynvml.nvmlDeviceGetMigMode)),
        "persistence": _switch(told(pynvml.nvmlDeviceGetPersistenceMode)),
        "compute_mode": None if mode is None else _COMPUTE_MODES.get(mode, str(mode)),
        "pcie": {
            "generation": told(pynvml.nvmlDeviceGetCurrPcieLinkGeneration),
            "width": told(pynvml.nvmlDeviceGetCurrPcieLinkWidth),
            "max_generation": told(pynvml.nvmlDeviceGetMaxPcieLinkGeneration),
            "max_width": told(pynvml.nvmlDeviceGetMaxPcieLinkWidth),
        },
        "nvml": ask(pynvml.nvmlSystemGetNVMLVersion, uuid),
        "cuda_driver": _cuda(ask(pynvml.nvmlSystemGetCudaDriverVersion_v2, uuid)),
    }


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000


def _current(modes: Any) -> bool | None:
    """Of a (current, pending) pair the current mode."""
    return None if modes is None else bool(modes[0])


def _switch(mode: int | None) -> bool | None:
    return None if mode is None else bool(mode)


def _cuda(version: int | None) -> str | None:
    """1000 × major + 10 × minor, as text."""
    return None if version is None else f"{version // 1000}.{version % 1000 // 10}"
