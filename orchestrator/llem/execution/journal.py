"""The journal: one appended, fsynced line a transition. What it says has happened; what it does not say has not.

`{"seq", "unix_s", "event", …}`. A torn last line (the power went while it was written) is dropped. The cost of a line
does not grow with the study: nothing that was written is read again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from llem.errors import NotReadyError
from llem.results.journal_line import parse_line

JournalEvent = Literal[
    "study_started",
    "study_resumed",
    "run_started",
    "run_completed",
    "run_failed",
    "run_interrupted",
    "study_interrupted",
    "study_completed",
]


class JournalUnwritable(NotReadyError):
    """The journal cannot be written, so nothing that happens could be trusted afterwards."""


class Journal:
    """The journal of one study folder, open for appending."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        lines, whole_bytes = _read(path)
        self._seq = int(lines[-1]["seq"]) if lines else 0
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            os.ftruncate(self._fd, whole_bytes)
        except OSError as error:
            raise self._unwritable(error) from error

    def append(self, event: JournalEvent, **fields: Any) -> None:
        """Write one line and wait until it is on the disk. Raises JournalUnwritable, with nothing half written."""
        record = {"seq": self._seq + 1, "unix_s": self._now(), "event": event, **fields}
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        before = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(28, f"only {written} of {len(line)} bytes fitted")
            os.fsync(self._fd)
        except OSError as error:
            os.ftruncate(self._fd, before)
            raise self._unwritable(error) from error
        self._seq += 1

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unwritable(self, error: OSError) -> JournalUnwritable:
        return JournalUnwritable(
            f"{self._path}: the journal cannot be written ({error.strerror}). Make room or mend the permissions"
            + (f", then: llem run --resume {self._path.parent}" if self._seq else "; the study has not begun.")
        )


def read_journal(path: Path) -> list[dict[str, Any]]:
    """All whole lines, oldest first; none where there is no journal. Raises NotReadyError where it is damaged."""
    return _read(path)[0]


def _read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole lines and how many bytes they take."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise NotReadyError(f"{path}: the journal cannot be read ({error.strerror}).") from error
    whole = data[: data.rfind(b"\n") + 1]
    lines: list[dict[str, Any]] = []
    for number, raw in enumerate(whole.splitlines(), start=1):
        try:
            record = parse_line(raw)
            if record["seq"] != number:
                raise ValueError(f"seq {record['seq']} where {number} was expected")
        except ValueError as error:
            what = str(error).splitlines()[0]
            raise NotReadyError(
                f"{path}:{number}: the journal is damaged ({what}). It was edited, or the file system lost data; "
                "the results under runs/ are untouched: read them with `llem results`."
            ) from error
        lines.append(record)
    return lines, len(whole)
