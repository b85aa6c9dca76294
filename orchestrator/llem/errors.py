"""Errors that a person at the terminal reads: what happened, where, what to do, and the exit code they end with."""

from __future__ import annotations

from enum import IntEnum


class CliExit(IntEnum):
    """Exit codes of `llem`."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    NOT_READY = 3
    GATE_FAILED = 4
    INTERRUPTED = 130


class LlemError(Exception):
    """What stops llem. The message is for people; a traceback would be a bug.

    `what` happened and where; `remedy`: what to do, empty where `what` says that as well. The message is both.
    """

    exit_code = CliExit.NOT_READY

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} {remedy}".strip())
        self.what = what
        self.remedy = remedy


class UsageError(LlemError):
    """Wrong usage, or a study file (or a file or folder that it names) that cannot be used."""

    exit_code = CliExit.USAGE


class NotReadyError(LlemError):
    """The machine is not ready: no engine, no model to be had, the journal not writable, a feature not built yet."""

    exit_code = CliExit.NOT_READY
