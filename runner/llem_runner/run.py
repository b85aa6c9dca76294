"""One run from its exchange folder to `out/result.json` or `out/error.json`, and the exit code that says which."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from llem_runner.contract import (
    CONTRACT_VERSION,
    EXIT_CODE_OF,
    Allocation,
    ErrorReport,
    ExchangeFolder,
    ExitCode,
    FailureKind,
    RunFailed,
    RunOrder,
)
from llem_runner.event_log import EventLog
from llem_runner.marks import Marks

_MESSAGE_CHARACTERS = 4000
_TRACEBACK_CHARACTERS = 20000


def execute(folder: Path) -> int:
    """Execute the run in `folder`. Writes the result, or the error, once, atomically; returns the exit code."""
    exchange = ExchangeFolder(folder)
    try:
        order, allocation = _read_inputs(exchange)
    except RunFailed as error:
        print(error.message, file=sys.stderr)
        return _report(exchange, _nonce(exchange), "start", error)
    try:
        events = EventLog(exchange.events)
    except OSError as error:
        return _report(exchange, order.nonce, "start", _disk(error))
    marks = Marks(events.phase)
    try:
        return _measure(order, allocation, exchange, events, marks)
    except RunFailed as error:
        failure: RunFailed = error
        cause = error.__cause__ or error
    except OSError as error:
        failure, cause = _disk(error) if error.errno in _DISK else _crash(error), error
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported with its traceback and exit code 1
        failure, cause = _crash(error), error
    finally:
        events.close()
    traceback.print_exception(cause)
    return _report(exchange, order.nonce, marks.phase_in_hand or "start", failure, cause)


def _measure(order: RunOrder, allocation: Allocation, exchange: ExchangeFolder, events: EventLog, marks: Marks) -> int:
    from llem_runner.measure import measure

    result = measure(order, allocation, exchange, events, marks)
    write_once(exchange.result, result)
    return ExitCode.OK


def write_once(path: Path, content: BaseModel) -> None:
    """Write a JSON file whole: temporary name, fsync, rename; readable by the host whoever we are."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(content.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o644)
    temporary.replace(path)


def _read_inputs(exchange: ExchangeFolder) -> tuple[RunOrder, Allocation]:
    """`in/`, checked. The version comes first: of another contract nothing else could be read right."""
    try:
        written: Any = json.loads(exchange.experiment.read_bytes())
        version = written.get("contract_version") if isinstance(written, dict) else None
        if version != CONTRACT_VERSION:
            raise RunFailed(
                FailureKind.CONTRACT_MISMATCH,
                f"{exchange.experiment} is of contract version {version}; this runner speaks {CONTRACT_VERSION}. "
                "Host and runner come from different releases of llem: use images of the host's own version.",
            )
        return (
            RunOrder.model_validate_json(exchange.experiment.read_bytes()),
            Allocation.model_validate_json(exchange.allocation.read_bytes()),
        )
    except (OSError, ValueError) as error:
        words = str(error) if not isinstance(error, ValidationError) else f"{error.error_count()} errors: {error}"
        raise RunFailed(FailureKind.CONTRACT_MISMATCH, f"{exchange.inputs} cannot be used: {words}") from error


def _nonce(exchange: ExchangeFolder) -> str:
    """The nonce of an order that is unusable otherwise, so that the host can still match the report."""
    try:
        return str(json.loads(exchange.experiment.read_bytes())["nonce"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def _disk(error: OSError) -> RunFailed:
    return RunFailed(FailureKind.DISK, f"{error.filename or 'out/'} could not be written: {error.strerror}")


def _crash(error: Exception) -> RunFailed:
    return RunFailed(FailureKind.RUNNER_CRASH, f"the runner failed unexpectedly: {type(error).__name__}: {error}")


Phase = Literal["start", "idle", "load", "resident", "warmup", "measure", "drain"]


def _report(
    exchange: ExchangeFolder, nonce: str, phase: Phase, failure: RunFailed, cause: BaseException | None = None
) -> int:
    """Write `error.json` if that is possible at all, and give the exit code."""
    report = ErrorReport(
        contract_version=CONTRACT_VERSION,
        nonce=nonce,
        kind=failure.kind,
        message=failure.message[:_MESSAGE_CHARACTERS],
        phase=phase,
        traceback="".join(traceback.format_exception(cause))[-_TRACEBACK_CHARACTERS:] if cause else None,
    )
    try:
        write_once(exchange.error, report)
    except OSError as error:
        print(f"error.json could not be written: {error}", file=sys.stderr)
    return EXIT_CODE_OF.get(failure.kind, ExitCode.CRASH)
