"""`launch.json`: what was started for a run and how it ended, beside its result and outside the container's reach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from llem.ended import Ended
from llem.execution.folder import write_json
from llem.execution.watch import Verdict
from llem.launch.protocol import Attempt, Place
from llem_runner.contract import FailureKind

LAUNCH_FILE = "launch.json"
_OURS = (
    *("launcher", "handle", "attempt", "place", "model_path", "adapter_path", "image", "digest"),
    *("memory_before_bytes", "started_unix_s", "ended_unix_s", "state", "stopped_by_us"),
)
"""What is in it besides the launcher's own facts."""


@dataclass(frozen=True)
class LaunchRecord:
    """One attempt's launch."""

    attempt: Attempt
    launcher: str
    place: Place
    started_unix_s: float | None
    memory_before_bytes: Mapping[str, int] = field(default_factory=dict)
    """In use on each GPU before it began: what has to be free again after it."""
    ended_unix_s: float | None = None
    end: Ended | None = None
    verdict: Verdict | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What only the launcher knows: of a container its image, id, times and exit state; and the thermal `gate`, where
    there is one."""

    def begun(self, facts: Mapping[str, Any]) -> LaunchRecord:
        """The same launch, begun."""
        return replace(self, facts={**self.facts, **facts})

    def ended(self, ended: Ended, verdict: Verdict | None, unix_s: float, facts: Mapping[str, Any]) -> LaunchRecord:
        """The same launch, ended."""
        return replace(self, end=ended, verdict=verdict, ended_unix_s=unix_s, facts=facts)

    def failed(self, kind: FailureKind, message: str, unix_s: float) -> LaunchRecord:
        """The same launch, which came to nothing."""
        return replace(
            self, ended_unix_s=unix_s, facts={**self.facts, "failed": {"kind": str(kind), "message": message}}
        )

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
            "digest": attempt.digest,
            "memory_before_bytes": dict(self.memory_before_bytes),
            "started_unix_s": self.started_unix_s,
            "ended_unix_s": self.ended_unix_s,
            "state": asdict(self.end) if self.end else None,
            "stopped_by_us": str(self.verdict.kind) if self.verdict else None,
            **self.facts,
        }
        # Whole: whoever goes on with a run, should this host die, goes by it.
        write_json(attempt.folder / LAUNCH_FILE, content)


@dataclass(frozen=True)
class Left:
    """What `launch.json` of a run's folder says of a launch before us; nothing where it says nothing."""

    started_unix_s: float | None
    image: str | None
    digest: str | None
    model_path: str
    adapter_path: str | None
    memory_before_bytes: Mapping[str, int]
    facts: Mapping[str, Any]
    """What the launcher knew of it."""


def read_launch(folder: Path) -> Left:
    """The last launch of a run."""
    content = _content(folder)

    def text(name: str) -> str | None:
        return value if isinstance(value := content.get(name), str) else None

    started, memory = content.get("started_unix_s"), content.get("memory_before_bytes")
    return Left(
        started_unix_s=float(started) if isinstance(started, int | float) else None,
        image=text("image"),
        digest=text("digest"),
        model_path=text("model_path") or "",
        adapter_path=text("adapter_path"),
        memory_before_bytes=memory if isinstance(memory, dict) else {},
        facts={name: value for name, value in content.items() if name not in _OURS},
    )


def _content(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / LAUNCH_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
