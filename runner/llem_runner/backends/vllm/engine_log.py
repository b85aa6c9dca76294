"""What vLLM's processes say of loading, and of what broke: from their log records, whichever process they come from.

vLLM tells how long it loads and compiles in its log alone, and an engine core that fails in another process says why
there alone. So its logging is configured, in its own documented way (VLLM_LOGGING_CONFIG_PATH, which its processes
inherit), with one handler more: it appends the records we know by their message, and every exception, to a file. What
makes that handler is the one piece of ours that runs in each of these processes from its beginning.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llem_runner.backends.vllm.orphans import end_with_parent

_VARIABLE = "VLLM_LOGGING_CONFIG_PATH"
# The message as vLLM writes it, before its arguments are filled in → which duration it is, and which argument.
_DURATIONS = (
    ("Loading weights took %.2f seconds", "weights_s", 0),
    ("Model loading took %s GiB memory and %.6f seconds", "model_s", 1),
    ("%storch.compile took %.2f s in total", "compilation_s", 1),
    ("Graph capturing finished in %.0f secs, took %.2f GiB", "graph_capture_s", 0),
    ("init engine (profile, create kv cache, warmup model) took %.2f s", "engine_init_s", 0),
)
WORKER_DIED = "WorkerDied"
"""Stands for the type of an exception where a worker was killed: it says nothing, and its engine core raises none."""
_WORKER_DIED = "Worker proc %s died unexpectedly"


def in_each_process(path: str) -> logging.Handler:
    """Called in each of vLLM's processes, as the first thing of ours there: it ends with its parent, and tells."""
    end_with_parent()
    return EngineLogHandler(path)


class EngineLogHandler(logging.Handler):
    """Appends durations and exceptions as JSON lines to `path`; nothing that goes wrong here reaches the engine."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging with each record."""
        line = _duration(record) or _exception(record) or _dead_worker(record)
        if line is None:
            return
        try:
            with Path(self._path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError:
            self.handleError(record)


def _duration(record: logging.LogRecord) -> dict[str, Any] | None:
    if not isinstance(record.args, tuple):
        return None
    for message, name, position in _DURATIONS:
        if record.msg == message and len(record.args) > position:
            value = record.args[position]
            return {"duration": name, "seconds": float(value)} if isinstance(value, (int, float)) else None
    return None


def _exception(record: logging.LogRecord) -> dict[str, Any] | None:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return None
    return {"error": type(error).__name__, "message": str(error)[:4000]}


def _dead_worker(record: logging.LogRecord) -> dict[str, Any] | None:
    if not isinstance(record.args, tuple) or not record.args or not str(record.msg).startswith(_WORKER_DIED):
        return None
    return {"error": WORKER_DIED, "message": str(record.args[0])}


class EngineLog:
    """The file in `folder`, and what was found in it."""

    def __init__(self, folder: Path) -> None:
        self._records = folder / "records.jsonl"
        self._settings = folder / "logging.json"

    def configure(self, environment: Any = os.environ) -> None:
        """Before the engine is made. Where somebody configured vLLM's logging, theirs stays and nothing is told."""
        if environment.get(_VARIABLE) or environment.get("VLLM_CONFIGURE_LOGGING") == "0":
            return
        level = environment.get("VLLM_LOGGING_LEVEL", "INFO")
        settings = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(levelname)s %(asctime)s [%(filename)s:%(lineno)d] %(message)s"}},
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "plain", "level": level},
                "llem": {"()": f"{__name__}.in_each_process", "path": str(self._records)},
            },
            "loggers": {"vllm": {"handlers": ["stderr", "llem"], "level": level, "propagate": False}},
        }
        self._settings.write_text(json.dumps(settings))
        environment[_VARIABLE] = str(self._settings)

    def close(self, environment: Any = os.environ) -> None:
        """Before `folder` goes: another engine of this process would look for the settings there."""
        if environment.get(_VARIABLE) == str(self._settings):
            del environment[_VARIABLE]

    def durations(self) -> dict[str, float]:
        """Seconds by name; of a part that several workers report, the longest."""
        longest: dict[str, float] = {}
        for line in self._lines():
            if "duration" in line:
                longest[line["duration"]] = max(longest.get(line["duration"], 0.0), line["seconds"])
        return longest

    def errors(self) -> list[tuple[str, str]]:
        """(type, message) of every exception that a process of vLLM logged, the first first."""
        return [(line["error"], line["message"]) for line in self._lines() if "error" in line]

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            written = self._records.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        for line in written.split("\n"):
            try:
                yield json.loads(line)
            except ValueError:
                # The last one may be torn: its process was killed.
                continue
