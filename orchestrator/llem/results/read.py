"""The files of a run: what the container wrote, believed only after every check, and what the host made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llem.printable import printable
from llem.results.json_text import NotJson, parse_json
from llem.results.sanity import implausible
from llem.untrusted import Untrusted, read_untrusted
from llem_runner.contract import CONTRACT_VERSION, ErrorReport, ExperimentResult
from llem_runner.contract.exchange import ERROR_FILE, OUT, RESULT_FILE, SAMPLES_FILE, Sample

MAX_RESULT_BYTES = 64_000_000
"""A pass takes about 150 bytes: room for hundreds of thousands of them."""
MAX_ERROR_BYTES = 4_000_000
MAX_SAMPLES_BYTES = 64_000_000
"""Eight answers of a million tokens each."""


@dataclass(frozen=True)
class Expected:
    """What a file has to echo to be this attempt's."""

    run_id: str
    attempt: int
    nonce: str


class ResultRejected(Exception):
    """A result that is not used; the message says why, in words for people."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.missing = missing


def read_result(run_folder: Path, expected: Expected) -> ExperimentResult:
    """The runner's `out/result.json`. Raises ResultRejected for anything but a whole, valid result of this attempt."""
    record = _record(run_folder, f"{OUT}/{RESULT_FILE}", MAX_RESULT_BYTES)
    _check_origin(record, expected)
    return _validated(record)


def read_error(run_folder: Path, expected: Expected) -> ErrorReport | None:
    """The runner's `out/error.json`; None where there is none, or none that this attempt can have written."""
    try:
        record = _record(run_folder, f"{OUT}/{ERROR_FILE}", MAX_ERROR_BYTES)
        if record.get("nonce") != expected.nonce or record.get("contract_version") != CONTRACT_VERSION:
            return None
        return ErrorReport.model_validate(record)
    except (ResultRejected, ValidationError):
        return None


def read_completed(path: Path, run_id: str | None = None) -> ExperimentResult:
    """The host's own `runs/<run>/result.json`: if it is there, validates, and is of `run_id`, the run is completed.

    Raises ResultRejected otherwise. Contract versions do not matter here: results outlive the program that made them.
    """
    result = _validated(_record(path.parent, path.name, MAX_RESULT_BYTES))
    if run_id is not None and result.run_id != run_id:
        raise ResultRejected(f"it is the result of run {printable(result.run_id, 80)}, not {run_id}")
    return result


def read_answers(run_folder: Path) -> list[tuple[int, ...]]:
    """Token ids of the first answers, from `out/samples.jsonl`; none where that is not there, or not to be believed."""
    try:
        lines = read_untrusted(run_folder, f"{OUT}/{SAMPLES_FILE}", MAX_SAMPLES_BYTES).splitlines()
        return [Sample.model_validate(parse_json(line)).output_token_ids for line in lines]
    except (Untrusted, NotJson, ValidationError):
        return []


def is_completed(path: Path, run_id: str) -> bool:
    """Whether run `run_id` is completed: its `result.json` is there and validates."""
    try:
        read_completed(path, run_id)
    except ResultRejected:
        return False
    return True


def _record(folder: Path, name: str, max_bytes: int) -> dict[str, Any]:
    try:
        value = parse_json(read_untrusted(folder, name, max_bytes))
    except Untrusted as error:
        raise ResultRejected(str(error), missing=error.reason == "missing") from error
    except NotJson as error:
        raise ResultRejected(f"{name}: {printable(str(error), 200)}") from error
    if not isinstance(value, dict):
        raise ResultRejected(f"{name} is not a JSON object")
    return value


def _validated(record: dict[str, Any]) -> ExperimentResult:
    try:
        result = ExperimentResult.model_validate(record)
    except ValidationError as error:
        raise ResultRejected(f"the result does not validate: {_problems(error)}") from error
    wrong = implausible(result)
    if wrong is not None:
        raise ResultRejected(f"the result contradicts itself: {wrong}")
    return result


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    words = [f"{'.'.join(map(str, problem['loc'])) or 'result'}: {problem['msg']}" for problem in found[:3]]
    more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
    return printable("; ".join(words), 500) + more


def _check_origin(record: dict[str, Any], expected: Expected) -> None:
    version = record.get("contract_version")
    if version != CONTRACT_VERSION:
        raise ResultRejected(
            f"the result is of contract version {printable(repr(version), 40)}, this llem speaks {CONTRACT_VERSION}"
        )
    if record.get("nonce") != expected.nonce:
        raise ResultRejected("the result does not echo this attempt's nonce: something else wrote it")
    for name in ("run_id", "attempt"):
        if record.get(name) != getattr(expected, name):
            found = printable(repr(record.get(name)), 80)
            raise ResultRejected(f"the result is of another run: {name} is {found}, not {getattr(expected, name)!r}")
