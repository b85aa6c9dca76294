"""`manifest.json`: a small summary of fixed size for people and tools. Resuming never reads it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from llem.execution.facts import StudyFacts
from llem.execution.folder import MANIFEST_SCHEMA_VERSION, write_json

Status = Literal["running", "completed", "failed", "interrupted", "limit_reached", "stopped"]


@dataclass(frozen=True)
class Counts:
    """Runs of the study by where they are."""

    total: int
    completed: int = 0
    failed: int = 0
    interrupted: int = 0


@dataclass
class Manifest:
    """Written anew, whole, after each transition."""

    path: Path
    facts: StudyFacts
    counts: Counts
    status: Status = "running"
    run_in_hand: str | None = None
    now: Callable[[], float] = field(default=time.time)

    def update(self, *, status: Status | None = None, run_in_hand: str | None = None, **counts: int) -> None:
        """Change some of it and write it."""
        self.status = status or self.status
        self.run_in_hand = run_in_hand
        self.counts = replace(self.counts, **counts)
        # It is a courtesy: on a full disk the journal, written just before, is what stops the study.
        with suppress(OSError):
            write_json(self.path, self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "schema_version": MANIFEST_SCHEMA_VERSION,
            "version": self.facts.version,
            "study_name": self.facts.name,
            "study_uid": self.facts.study_uid,
            "study_design_hash": self.facts.design_hash,
            "status": self.status,
            "run_in_hand": self.run_in_hand,
            "runs": asdict(self.counts),
            "updated_unix_s": self.now(),
        }
