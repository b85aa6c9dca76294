"""NVML's error codes as this program's outcomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pynvml

from llem_runner.power.outcomes import GpuLost, SensorOutcome, SensorsUnavailable

T = TypeVar("T")

# After these a handle answers nothing any more: the board fell off the bus, was reset, or the driver went away.
_LOST_CODES = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_GPU_NOT_FOUND,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_UNINITIALIZED,
    }
)
# These say that the answer will never come; anything else may be different a moment later.
_NEVER_CODES = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    }
)

_UNAVAILABLE: dict[int, tuple[SensorOutcome, str]] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        SensorOutcome.LIBRARY_MISSING,
        "libnvidia-ml.so.1 is not on this machine: no NVIDIA driver is installed, or the container was not given one",
    ),
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: (
        SensorOutcome.LIBRARY_TOO_OLD,
        "the NVML library lacks a function that is needed to open it: update the NVIDIA driver",
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        SensorOutcome.DRIVER_NOT_LOADED,
        "the NVML library is here but the NVIDIA kernel driver is not loaded (`modprobe nvidia`)",
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        SensorOutcome.VERSION_MISMATCH,
        "the NVML library and the loaded kernel driver are of different versions: reboot after a driver update",
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        SensorOutcome.PERMISSION_DENIED,
        "NVML refuses this user: check the rights of /dev/nvidiactl and /dev/nvidia*",
    ),
    pynvml.NVML_ERROR_UNKNOWN: (
        SensorOutcome.ACCESS_LOST,
        "NVML fails with “Unknown Error”: this container lost its GPU devices, as after a daemon-reload on the host",
    ),
}


def unavailable(error: pynvml.NVMLError) -> SensorsUnavailable:
    """What an error of opening NVML means to the person at the terminal."""
    outcome, message = _UNAVAILABLE.get(error.value, (SensorOutcome.FAILED, f"NVML could not be opened: {error}"))
    return SensorsUnavailable(outcome, message)


def never_answers(code: int) -> bool:
    """Whether NVML's `code` says that this reading does not exist here."""
    return code in _NEVER_CODES


def check_lost(code: int, uuid: str) -> None:
    """Raise `GpuLost` where NVML's `code` says that the board `uuid` is gone."""
    if code in _LOST_CODES:
        raise lost(code, uuid)


def lost(code: int, uuid: str) -> GpuLost:
    """The error for a board `uuid` that answered with NVML's `code`."""
    return GpuLost(
        f"GPU {uuid} cannot be read any more: NVML says “{pynvml.NVMLError(code)}”. "
        "Look for Xid messages in the kernel log (`dmesg`), and reset or replace the board."
    )


def ask(call: Callable[[], T], uuid: str) -> T | None:
    """The answer of `call`, or None where NVML has none just now or ever. Raises `GpuLost`."""
    try:
        return call()
    except pynvml.NVMLError as error:
        check_lost(error.value, uuid)
        return None


def ask_energy(call: Callable[[], T], uuid: str) -> T | None:
    """Like `ask`, for the readings that a run cannot do without: “Unknown Error” there means lost access."""
    try:
        return call()
    except pynvml.NVMLError_Unknown as error:
        raise lost(error.value, uuid) from error
    except pynvml.NVMLError as error:
        check_lost(error.value, uuid)
        return None


def exists(call: Callable[[], object], uuid: str) -> bool:
    """Whether `call` can be answered on this board at all. Raises `GpuLost`."""
    try:
        call()
    except pynvml.NVMLError as error:
        check_lost(error.value, uuid)
        return not never_answers(error.value)
    return True
