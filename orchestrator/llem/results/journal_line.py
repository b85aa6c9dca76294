"""A line of `journal.jsonl`, as both who goes on with a study and who reads its results take it."""

from __future__ import annotations

import json
from typing import Any, Optional

from llem_runner.contract.strict import Record


class JournalLine(Record):
    """What every line has, and the types of what some have."""

    seq: int
    unix_s: float
    event: str
    run_id: Optional[str] = None
    attempt: Optional[int] = None
    kind: Optional[str] = None
    message: Optional[str] = None


def parse_line(raw: bytes) -> dict[str, Any]:
    """The line as it stands, once it is known to be one. Raises ValueError that says what is wrong."""
    try:
        record = json.loads(raw)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    JournalLine.model_validate(record)
    if record["event"].startswith("run_") and not record.get("run_id"):
        raise ValueError(f"{record['event']} names no run")
    return record
