"""How reading a GPU's sensors can fail: one type for each outcome that somebody has to tell apart."""

from __future__ import annotations

from enum import Enum

from llem_runner.contract.failures import FailureKind, RunFailed


class SensorOutcome(str, Enum):
    """Why no sensor can be read, in one word."""

    LIBRARY_MISSING = "library_missing"
    LIBRARY_TOO_OLD = "library_too_old"
    DRIVER_NOT_LOADED = "driver_not_loaded"
    VERSION_MISMATCH = "version_mismatch"
    PERMISSION_DENIED = "permission_denied"
    NO_DEVICES = "no_devices"
    ACCESS_LOST = "access_lost"
    FAILED = "failed"

    def __str__(self) -> str:
        return self.value


class SensorsUnavailable(Exception):
    """NVML cannot be used here. Not a failure of a run by itself: a CPU run goes on without sensors."""

    def __init__(self, outcome: SensorOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.message = message


class GpuLost(RunFailed):
    """A GPU that was measured cannot be read any more: it fell off the bus, was reset, or its counter broke."""

    def __init__(self, message: str) -> None:
        super().__init__(FailureKind.GPU_LOST, message)


class RecorderFailed(RunFailed):
    """The recorder ended without being asked, for a reason other than a lost GPU. `kind` is disk or runner_crash."""

    def __init__(self, message: str, kind: FailureKind = FailureKind.RUNNER_CRASH) -> None:
        super().__init__(kind, message)
