"""What a launcher is to the loop: one run in, one finished exchange folder out.

The loop reads events only through `poll` and `out/` only after `collect`, so that a launcher need not share a file
system with us. A handle is a string fixed before the start: it survives the host and finds the run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from llem.ended import Ended
from llem_runner.contract import ExperimentConfig


@dataclass(frozen=True)
class Place:
    """Somewhere a run can happen: a host and the GPUs of one model that it may use (none: its CPU)."""

    host: str
    gpu_model: str | None = None
    gpu_uuids: tuple[str, ...] = ()

    def first(self, count: int) -> Place:
        """This place with only its first `count` GPUs."""
        return Place(self.host, self.gpu_model if count else None, self.gpu_uuids[:count])


@dataclass(frozen=True)
class Attempt:
    """One try at a run. Everything that the container writes must echo `nonce`."""

    study_uid: str
    run_id: str
    number: int
    nonce: str
    folder: Path
    """The exchange folder, absolute; `in/` is written but for `allocation.json`, `out/` is there and empty."""
    config: ExperimentConfig
    model_path: str
    adapter_path: str | None = None
    image: str | None = None

    @property
    def handle(self) -> str:
        """The name under which this attempt is found again (a container's name, a process's mark)."""
        return f"llem-{self.study_uid}-{self.run_id}-{self.nonce}"


@dataclass(frozen=True)
class Poll:
    """What a look at a run found: the events written since the offset, and how it ended (None: it goes on)."""

    events: bytes
    ended: Ended | None


class Launcher(Protocol):
    """Where runs happen."""

    name: str

    def capacity(self) -> Sequence[Place]:
        """Places that the study may use, one per host and GPU model; at least one."""

    def prepare(self, backends: Sequence[str], images: Mapping[str, str]) -> Mapping[str, str | None]:
        """Make ready what all runs need; image digest by backend (None: no image). Raises NotReadyError."""

    def start(self, attempt: Attempt, place: Place) -> str:
        """Start the run and return its handle. Writes `in/allocation.json`."""

    def find(self, attempt: Attempt) -> str | None:
        """The handle, if this attempt still runs (a host before us may have started it)."""

    def poll(self, handle: str, offset: int) -> Poll:
        """Bytes of `out/events.jsonl` from `offset` on (a bounded piece), and the state."""

    def collect(self, handle: str) -> None:
        """Return when `out/` is complete in the exchange folder on this host."""

    def stop(self, handle: str, grace_s: float) -> Ended:
        """Ask the run to end, and make it end after `grace_s` seconds. 0 kills at once."""

    def close(self) -> None:
        """End whatever of ours still runs. Safe to call twice."""
