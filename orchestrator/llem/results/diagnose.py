"""Why a run did not complete. Pure: decided from the exit code and the launcher's state, never from log text.

`error.json` gives the words, not the kind: a runner can be wrong about itself, its exit code is what the launcher saw.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

from llem.ended import Ended
from llem.printable import printable
from llem_runner.contract import EXIT_CODE_OF, ErrorReport, FailureKind

_ENDED_ON_REQUEST = frozenset({8, 128 + signal.SIGINT, 128 + signal.SIGKILL, 128 + signal.SIGTERM})
_ENDED_FROM_OUTSIDE = frozenset({8, 128 + signal.SIGKILL})
_END_UNKNOWN = 255
"""What an engine says of a container that ended while it was away itself."""
_NEVER_BEGAN = frozenset({126, 127})
_KIND_OF_CODE = {int(code): kind for kind, code in EXIT_CODE_OF.items() if 2 <= code <= 7}

_NAMES_ITS_EXIT = frozenset(
    {FailureKind.RUNNER_CRASH, FailureKind.KILLED, FailureKind.CONTAINER_OOM, FailureKind.IMAGE_UNUSABLE}
)

_WORDS: dict[FailureKind, str] = {
    FailureKind.CONTRACT_MISMATCH: "the runner could not use its order, or is of another version than this llem",
    FailureKind.BACKEND: "the backend cannot be imported, or cannot use the device it was given",
    FailureKind.MODEL: "the model cannot be loaded",
    FailureKind.ACCELERATOR_OOM: "the accelerator ran out of memory",
    FailureKind.GPU_LOST: "the GPU, or NVML on it, was lost",
    FailureKind.INFERENCE: "inference failed",
    FailureKind.RESULT_INVALID: "the runner ended well but left no result that can be used",
    FailureKind.TIMEOUT: "stopped: it took longer than allowed",
    FailureKind.STALLED: "no sign of life; it was paused or stuck",
    FailureKind.INTERRUPTED: "stopped, as you asked",
    FailureKind.CONTAINER_OOM: "the system ran out of memory for the run and killed it",
    FailureKind.KILLED: "ended from outside; llem did not ask for it",
    FailureKind.IMAGE_UNUSABLE: "the runner cannot be executed: the image, or the Python in it, is unusable",
    FailureKind.RUNNER_CRASH: "the runner crashed",
    FailureKind.DISK: "a file could not be written: the disk is full",
    FailureKind.ENGINE_UNREACHABLE: "the container engine went away while the run was going on",
}

_ADVICE: dict[FailureKind, str] = {
    FailureKind.CONTRACT_MISMATCH: "Use the same version of llem on both sides.",
    FailureKind.BACKEND: "Check the engine's installation for this device.",
    FailureKind.MODEL: "Check the model's name or folder.",
    FailureKind.ACCELERATOR_OOM: "Lower the batch size, the lengths or the precision.",
    FailureKind.GPU_LOST: "Look at the driver's log (dmesg, nvidia-smi); a reset may be needed.",
    FailureKind.INFERENCE: "See container.log in the run's folder.",
    FailureKind.RESULT_INVALID: "See container.log in the run's folder.",
    FailureKind.TIMEOUT: "Raise the limit in execution, or ask for less.",
    FailureKind.STALLED: "See container.log in the run's folder; execution.stall_seconds sets the patience.",
    FailureKind.INTERRUPTED: "Resume the study to run it.",
    FailureKind.CONTAINER_OOM: "Raise docker.memory_limit, or choose a smaller model or batch.",
    FailureKind.KILLED: "Find out who ended it (an operator, a scheduler, the kernel), then resume the study.",
    FailureKind.IMAGE_UNUSABLE: "Check the image, or the Python that runs the runner.",
    FailureKind.RUNNER_CRASH: "See container.log in the run's folder.",
    FailureKind.DISK: "Make room, or mend the permissions, then resume the study.",
    FailureKind.ENGINE_UNREACHABLE: "Start it again, then resume the study.",
}


@dataclass(frozen=True)
class Failure:
    """Why a run did not complete: the kind for programs, the message for people."""

    kind: FailureKind
    message: str


def diagnose(
    ended: Ended,
    asked: FailureKind | None,
    error: ErrorReport | None = None,
    rejected: str | None = None,
    *,
    asked_words: str | None = None,
    no_room: bool = False,
) -> Failure:
    """The failure of a run that left no usable result.

    `asked` is our own reason where it was we who ended it, with `asked_words` for people; `error` is its error.json;
    `rejected` says why its result is not used; `no_room` that the file system of its folder is full. A subprocess's
    exit code −N counts as 128 + N.
    """
    code = None if ended.exit_code is None else ended.exit_code if ended.exit_code >= 0 else 128 - ended.exit_code
    kind = _kind(code, ended, asked)
    # There is no exit code for a full disk, which anybody may meet: the runner says so in words, and ends with 1. Where
    # there was no room for its words either, the disk speaks for itself.
    if code == 1 and (no_room if error is None else error.kind is FailureKind.DISK):
        kind = FailureKind.DISK
    if asked is not None and kind is asked:
        # The runner can only say that it was stopped; we know why.
        return Failure(kind, _sentence(asked_words or _WORDS.get(kind, kind.value), kind))
    parts = [_what(kind, error), *_details(kind, code, ended, error, rejected)]
    if asked is not None:
        parts.append(f"after llem had asked it to stop ({asked_words or asked})")
    return Failure(kind, _sentence("; ".join(parts), kind))


def _kind(code: int | None, ended: Ended, asked: FailureKind | None) -> FailureKind:
    if code == 0:
        return FailureKind.RESULT_INVALID
    if asked is not None and (code is None or code in _ENDED_ON_REQUEST):
        return asked
    if ended.engine_gone and (code is None or code == _END_UNKNOWN or code in _ENDED_ON_REQUEST):
        return FailureKind.ENGINE_UNREACHABLE
    if ended.oom_killed and asked is None:
        return FailureKind.CONTAINER_OOM
    if code is None or ended.removed or code in _ENDED_FROM_OUTSIDE:
        return FailureKind.STALLED if ended.paused else FailureKind.KILLED
    if code in _NEVER_BEGAN:
        return FailureKind.IMAGE_UNUSABLE
    return _KIND_OF_CODE.get(code, FailureKind.RUNNER_CRASH)


def _sentence(what: str, kind: FailureKind) -> str:
    return f"{what.strip().rstrip('.')}. {_ADVICE.get(kind, '')}".strip()


def _details(
    kind: FailureKind, code: int | None, ended: Ended, error: ErrorReport | None, rejected: str | None
) -> Iterator[str]:
    if kind is FailureKind.RESULT_INVALID and rejected:
        yield rejected
    if error is not None:
        yield f"in phase {error.phase}"
    if kind is FailureKind.KILLED and ended.removed:
        yield "its container or process was removed"
    elif kind in _NAMES_ITS_EXIT:
        yield _exit_words(code)


def _what(kind: FailureKind, error: ErrorReport | None) -> str:
    words = _WORDS.get(kind, kind.value)
    if error is None:
        return words
    said = printable(error.message).strip().rstrip(".")
    # Where the runner speaks of the same thing its words are the better ones; else they stand beside ours.
    return said if error.kind is kind else f"{words}; it said: {said}"


def _exit_words(code: int | None) -> str:
    if code is None:
        return "nobody saw how it ended"
    if code > 128:
        try:
            return f"signal {signal.Signals(code - 128).name} (exit code {code})"
        except ValueError:
            return f"exit code {code}"
    return f"exit code {code}"
