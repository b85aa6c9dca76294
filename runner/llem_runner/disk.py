"""Which errors of the operating system mean that a disk takes nothing more. Pure."""

from __future__ import annotations

import errno

from llem_runner.contract import FailureKind, RunFailed

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


def disk_failure(error: BaseException) -> RunFailed | None:
    """The failure of kind disk that `error`, or the error that caused it, stands for; None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _DISK:
            return RunFailed(FailureKind.DISK, f"{cause.filename or 'out/'} could not be written: {cause.strerror}")
        cause = cause.__cause__
    return None
