"""`out/events.jsonl`, written: how a run says that it lives and where it is. One line, one unbuffered write."""

from __future__ import annotations

import math
import os
import threading
import time
from pathlib import Path
from typing import Literal

from llem_runner.contract.events import (
    Event,
    HeartbeatEvent,
    LogEvent,
    PhaseEvent,
    PhaseName,
    ProgressEvent,
    WarningEvent,
)
from llem_runner.contract.result import ResultWarning

_PROGRESS_EVERY_S = 0.5

Unit = Literal["prompts", "tokens", "iterations", "seconds"]


class EventLog:
    """Appends events, from any thread.

    Raises OSError when the disk does not take them, and from then on always: a log with a hole is none, and a thread
    that met the error has nobody to tell.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._lock = threading.Lock()
        self._warnings: dict[tuple[str, str], ResultWarning] = {}
        self._failure: OSError | None = None
        self._written_s: dict[Unit, float] = {}
        self._held: dict[Unit, ProgressEvent] = {}

    @property
    def warnings(self) -> tuple[ResultWarning, ...]:
        """Every warning given so far, each once."""
        return tuple(self._warnings.values())

    def phase(self, name: PhaseName, at_s: float) -> None:
        """A phase began at `at_s` (monotonic); how far the one before it came is written first."""
        for held in self._held.values():
            self._write(held)
        self._held.clear()
        self._written_s.clear()
        self._write(PhaseEvent(t=at_s, name=name))

    def progress(self, done: float, total: float | None, unit: Unit) -> None:
        """Progress; of each unit at most two a second are written, and the last one of a phase always."""
        now = time.monotonic()
        event = ProgressEvent(t=now, done=done, total=total, unit=unit)
        if now - self._written_s.get(unit, -math.inf) < _PROGRESS_EVERY_S and done != total:
            self._held[unit] = event
            return
        self._held.pop(unit, None)
        self._written_s[unit] = now
        self._write(event)

    def heartbeat(self, power_w: float | None, temperature_c: float | None) -> None:
        """The process and its recorder are alive."""
        self._write(HeartbeatEvent(t=time.monotonic(), power_w=power_w, temperature_c=temperature_c))

    def warning(self, code: str, message: str) -> None:
        """Something that belongs in the result; the same one is written once."""
        if (code, message) not in self._warnings:
            self._warnings[(code, message)] = ResultWarning(code=code, message=message)
            self._write(WarningEvent(t=time.monotonic(), code=code, message=message))

    def info(self, message: str) -> None:
        """A line for the log."""
        self._write(LogEvent(t=time.monotonic(), level="info", message=message))

    def failed(self, error: OSError) -> None:
        """The disk failed a thread that cannot end the run: the next event does."""
        self._failure = self._failure or error

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, event: Event) -> None:
        line = event.model_dump_json(exclude_none=True).encode() + b"\n"
        with self._lock:
            if self._failure is not None:
                raise self._failure
            try:
                while line and self._fd >= 0:
                    # One call as a rule; a disk that fills up takes a part first and says why at the next.
                    line = line[os.write(self._fd, line) :]
            except OSError as error:
                self._failure = error
                raise
