"""`launch.json`: what was started for a run and how it ended, beside its result and outside the container's reach."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from llem.ended import Ended
from llem.execution.watch import Verdict
from llem.launch.protocol import Attempt, Place


@dataclass(frozen=True)
class LaunchRecord:
    """One attempt's launch."""

    attempt: Attempt
    launcher: str
    place: Place
    started_unix_s: float
    ended_unix_s: float | None = None
    end: Ended | None = None
    verdict: Verdict | None = None

    def ended(self, ended: Ended, verdict: Verdict | None, unix_s: float) -> LaunchRecord:
        """The same launch, ended."""
        return replace(self, end=ended, verdict=verdict, ended_unix_s=unix_s)

    def write(self) -> None:
        """Write `launch.json` into the run's folder. Raises OSError."""
        attempt = self.attempt
        content = {
            "launcher": self.launcher,
            "handle": attempt.handle,
            "attempt": attempt.number,
            "place": asdict(self.place),
            "model_path": attempt.model_path,
            "adapter_path": attempt.adapter_path,
            "image": attempt.image,
            "started_unix_s": self.started_unix_s,
            "ended_unix_s": self.ended_unix_s,
            "state": asdict(self.end) if self.end else None,
            "stopped_by_us": str(self.verdict.kind) if self.verdict else None,
        }
        (attempt.folder / "launch.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
