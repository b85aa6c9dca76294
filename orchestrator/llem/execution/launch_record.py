"""`launch.json`: what was started for a run and how it ended, beside its result and outside the container's reach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from llem.ended import Ended
from llem.execution.watch import Verdict
from llem.launch.protocol import Attempt, Place
from llem_runner.contract import FailureKind

LAUNCH_FILE = "launch.json"


@dataclass(frozen=True)
class LaunchRecord:
    """One attempt's launch."""

    attempt: Attempt
    launcher: str
    place: Place
    digest: str | None
    started_unix_s: float | None
    ended_unix_s: float | None = None
    end: Ended | None = None
    verdict: Verdict | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What only the launcher knows: of a container its image, id, times and exit state."""
    gate: Mapping[str, Any] | None = None
    """How the run came through the thermal gate; None without one."""

    @property
    def for_result(self) -> dict[str, Any]:
        """What of it belongs to the result's environment."""
        return {**self.facts, **({"gate": self.gate} if self.gate else {})}

    def ended(self, ended: Ended, verdict: Verdict | None, unix_s: float, facts: Mapping[str, Any]) -> LaunchRecord:
        """The same launch, ended."""
        return replace(self, end=ended, verdict=verdict, ended_unix_s=unix_s, facts=facts)

    def failed(self, kind: FailureKind, message: str, unix_s: float) -> LaunchRecord:
        """The same launch, which came to nothing."""
        return replace(self, ended_unix_s=unix_s, facts={"failed": {"kind": str(kind), "message": message}})

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
            "digest": self.digest,
            "started_unix_s": self.started_unix_s,
            "ended_unix_s": self.ended_unix_s,
            "state": asdict(self.end) if self.end else None,
            "stopped_by_us": str(self.verdict.kind) if self.verdict else None,
            "gate": self.gate,
            **self.facts,
        }
        (attempt.folder / LAUNCH_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def started_before(folder: Path) -> float | None:
    """When the launch that `launch.json` of a run's folder records began; None where it says nothing."""
    started = _recorded(folder).get("started_unix_s")
    return float(started) if isinstance(started, (int, float)) else None


def gate_before(folder: Path) -> dict[str, Any] | None:
    """How the run that `launch.json` of a folder records came through the gate; None where it says nothing."""
    gate = _recorded(folder).get("gate")
    return gate if isinstance(gate, dict) else None


def _recorded(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / LAUNCH_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
