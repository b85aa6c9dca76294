"""Failure kinds, and the exit codes with which a runner says them."""

from __future__ import annotations

from enum import Enum, IntEnum


class FailureKind(str, Enum):
    """Why a run did not complete. The first group is the runner's to say, the second only the host can know."""

    CONTRACT_MISMATCH = "contract_mismatch"
    BACKEND = "backend"
    MODEL = "model"
    ACCELERATOR_OOM = "accelerator_oom"
    GPU_LOST = "gpu_lost"
    INFERENCE = "inference"
    RUNNER_CRASH = "runner_crash"

    RESULT_INVALID = "result_invalid"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    INTERRUPTED = "interrupted"
    CONTAINER_OOM = "container_oom"
    KILLED = "killed"
    IMAGE_UNUSABLE = "image_unusable"
    IMAGE_MISSING = "image_missing"
    IMAGE_PULL = "image_pull"
    GPU_REQUEST = "gpu_request"
    ENGINE_UNREACHABLE = "engine_unreachable"
    DISK = "disk"

    def __str__(self) -> str:
        return self.value


class ExitCode(IntEnum):
    """Exit codes of `python3 -m llem_runner`."""

    OK = 0
    CRASH = 1
    CONTRACT_MISMATCH = 2
    BACKEND = 3
    MODEL = 4
    ACCELERATOR_OOM = 5
    GPU_LOST = 6
    INFERENCE = 7
    STOPPED = 8


EXIT_CODE_OF: dict[FailureKind, ExitCode] = {
    FailureKind.CONTRACT_MISMATCH: ExitCode.CONTRACT_MISMATCH,
    FailureKind.BACKEND: ExitCode.BACKEND,
    FailureKind.MODEL: ExitCode.MODEL,
    FailureKind.ACCELERATOR_OOM: ExitCode.ACCELERATOR_OOM,
    FailureKind.GPU_LOST: ExitCode.GPU_LOST,
    FailureKind.INFERENCE: ExitCode.INFERENCE,
    FailureKind.INTERRUPTED: ExitCode.STOPPED,
    FailureKind.RUNNER_CRASH: ExitCode.CRASH,
}


class RunFailed(Exception):
    """A run that cannot go on: what happened, where, and what to do, for the person at the terminal."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
