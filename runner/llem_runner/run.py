"""One run from its exchange folder to `out/result.json` or `out/error.json`, and the exit code that says which."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from llem_runner.contract import (
    CONTRACT_VERSION,
    EXIT_CODE_OF,
    Allocation,
    ErrorReport,
    ExchangeFolder,
    ExitCode,
    ExperimentResult,
    FailureKind,
    RunFailed,
    RunOrder,
)
from llem_runner.contract.events import PhaseName
from llem_runner.contract.exchange import LIFELINE_VARIABLE
from llem_runner.disk import disk_failure
from llem_runner.event_log import EventLog
from llem_runner.lifeline import Stopped, StopRequest, end_with_standard_input
from llem_runner.marks import Marks

_MESSAGE_CHARACTERS = 4000
_TRACEBACK_CHARACTERS = 20000


@dataclass
class _Where:
    """How far a run has come, for its report."""

    nonce: str = ""
    marks: Marks | None = None


def execute(folder: Path, environment: Mapping[str, str] = os.environ) -> int:
    """Execute the run in `folder`. Writes the result, or the error, once, atomically; returns the exit code."""
    exchange, where, stop = ExchangeFolder(folder), _Where(), StopRequest()
    outcome: ExperimentResult | BaseException
    try:
        stop.on_sigterm()
        if environment.get(LIFELINE_VARIABLE) == "stdin":
            end_with_standard_input()
        outcome = _outcome(exchange, where, stop)
        stop.too_late()
    except Stopped as stopped:
        outcome = stopped
    if not stop.requested:
        return _write(exchange, where, outcome)
    # Whatever became of it: an engine may have made an error of its own of the request, or gone on.
    words = "the run was stopped by SIGTERM"
    cause = outcome if isinstance(outcome, BaseException) else None
    return _report(exchange, where, RunFailed(FailureKind.INTERRUPTED, words), cause)


def _outcome(exchange: ExchangeFolder, where: _Where, stop: StopRequest) -> ExperimentResult | BaseException:
    """The result, or the error that came instead. Raises Stopped."""
    try:
        where.nonce = _nonce(exchange)
        order, allocation = _read_inputs(exchange)
        where.nonce = order.nonce
        with closing(EventLog(exchange.events)) as events:

            def on_phase(name: PhaseName, at_s: float) -> None:
                stop.check()
                events.phase(name, at_s)

            where.marks = Marks(on_phase)
            from llem_runner.measure import measure

            return measure(order, allocation, exchange, events, where.marks, stop)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported with its traceback and exit code 1
        return error


def _write(exchange: ExchangeFolder, where: _Where, outcome: ExperimentResult | BaseException) -> int:
    if isinstance(outcome, ExperimentResult):
        try:
            write_once(exchange.result, outcome)
        except OSError as error:
            outcome = error
        else:
            return ExitCode.OK
    return _report(exchange, where, _failure(outcome), outcome)


def _failure(error: BaseException) -> RunFailed:
    if isinstance(error, RunFailed):
        return error
    words = f"the runner failed unexpectedly: {type(error).__name__}: {error}"
    return disk_failure(error) or RunFailed(FailureKind.RUNNER_CRASH, words)


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


def _report(exchange: ExchangeFolder, where: _Where, failure: RunFailed, cause: BaseException | None) -> int:
    """Write `error.json` if that is possible at all, and give the exit code."""
    if failure.kind is FailureKind.CONTRACT_MISMATCH:
        print(failure.message, file=sys.stderr)
        shown = None
    else:
        # What it was called first says more of the place than what we made of it.
        shown = (cause.__cause__ if isinstance(cause, RunFailed) else None) or cause
        if shown is not None:
            traceback.print_exception(shown)
    report = ErrorReport(
        contract_version=CONTRACT_VERSION,
        nonce=where.nonce,
        kind=failure.kind,
        message=failure.message[:_MESSAGE_CHARACTERS],
        phase=(where.marks.phase_in_hand if where.marks else None) or "start",
        traceback="".join(traceback.format_exception(shown))[-_TRACEBACK_CHARACTERS:] if shown else None,
    )
    try:
        write_once(exchange.error, report)
    except OSError as error:
        print(f"error.json could not be written: {error}", file=sys.stderr)
    return EXIT_CODE_OF.get(failure.kind, ExitCode.CRASH)
