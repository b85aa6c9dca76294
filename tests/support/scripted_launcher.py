"""A launcher whose runs are played, not executed: for what real runs cannot be made to do on demand.

The loop, the journal, the folders and the reading of results around it are the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results_factory import result_record

from llem.checklist import Checklist
from llem.ended import Ended
from llem.launch.gpu_facts import GpuFacts
from llem.launch.protocol import Attempt, Place, Poll
from llem_runner.contract.result import Image

Script = Callable[[Attempt], Ended]


def valid_result(attempt: Attempt, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A result that `attempt` could have written."""
    own = {"run_id": attempt.run_id, "attempt": attempt.number, "nonce": attempt.nonce}
    experiment = attempt.config.model_dump(mode="json")
    return result_record({**own, "experiment": experiment, **(changes or {})})


def write_out(attempt: Attempt, name: str, content: str | Mapping[str, Any]) -> None:
    """Write a file of the attempt's `out/`."""
    text = content if isinstance(content, str) else json.dumps(content)
    (attempt.folder / "out" / name).write_text(text)


def completes(attempt: Attempt) -> Ended:
    """The run goes well."""
    write_out(attempt, "events.jsonl", '{"t": 1.0, "event": "phase", "name": "measure"}\n')
    write_out(attempt, "result.json", valid_result(attempt))
    return Ended(0)


def exits(code: int) -> Script:
    """The run ends with `code` and leaves nothing."""
    return lambda attempt: Ended(code)


@dataclass
class ScriptedLauncher:
    """Plays `script` for every run, or the one that `by_run` has for its run id."""

    script: Script = completes
    by_run: dict[str, Script] = field(default_factory=dict)
    started: list[tuple[str, int]] = field(default_factory=list)
    """(run id, attempt) in the order of their starts."""
    name: str = "scripted"
    described: str = "scripted"
    survives_host: bool = False
    engine_id: str | None = None
    stopped: int = 0
    gpus: tuple[str, ...] = ()
    own_pids: frozenset[int] | None = None
    _ends: dict[str, Ended] = field(default_factory=dict)
    _folders: dict[str, Path] = field(default_factory=dict)

    def capacity(self) -> list[Place]:
        return [Place("localhost", "a GPU" if self.gpus else None, self.gpus)]

    def prepare(
        self,
        backends: Sequence[str],
        images: Mapping[str, str],
        parent: Path,
        checklist: Checklist,
        resumed: str | None = None,
    ) -> dict[str, Image]:
        return {}

    def gpu_facts(self) -> GpuFacts:
        return GpuFacts()

    def keep_runner(self, study_folder: Path, name: str | None) -> None:
        """Nothing is executed."""

    def check_readable(self, folders: Sequence[str]) -> None:
        """Everything is."""

    def start(self, attempt: Attempt, place: Place) -> str:
        self.started.append((attempt.run_id, attempt.number))
        self._folders[attempt.handle] = attempt.folder
        self._ends[attempt.handle] = self.by_run.get(attempt.run_id, self.script)(attempt)
        return attempt.handle

    def find(self, attempt: Attempt) -> str | None:
        return None

    def poll(self, handle: str, offset: int) -> Poll:
        events = self._folders[handle] / "out" / "events.jsonl"
        data = events.read_bytes()[offset:] if events.is_file() else b""
        return Poll(data, self._ends[handle])

    def collect(self, handle: str) -> None:
        """Nothing to fetch."""

    def record(self, handle: str) -> dict[str, Any]:
        return {}

    def memory_used(self, gpu_uuids: Sequence[str]) -> Mapping[str, int | None]:
        return dict.fromkeys(gpu_uuids)

    def pids(self, handle: str) -> frozenset[int] | None:
        return self.own_pids

    def other_user(self, gpu_uuid: str, study_uid: str) -> str | None:
        return None

    def clear(self, study_uid: str) -> None:
        """Nothing is left."""

    def kill(self) -> None:
        """Nothing runs."""

    def stop(self, handle: str, grace_s: float) -> Ended:
        self.stopped += 1
        return self._ends[handle]

    def close(self) -> None:
        """Nothing runs."""
