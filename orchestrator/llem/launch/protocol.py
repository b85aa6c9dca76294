"""What a launcher is to the loop: one run in, one finished exchange folder out.

The loop reads events only through `poll` and `out/` only after `collect`, so that a launcher need not share a file
system with us. A handle is a string fixed before the start: it survives the host and finds the run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from llem.checklist import Checklist
from llem.ended import Ended
from llem.launch.gpu_facts import GpuFacts
from llem_runner.contract import ExperimentConfig, FailureKind
from llem_runner.contract.result import Image

LOCK_FILE = ".lock"
"""In a study's folder, and in that of a look around: locked by whoever it belongs to, for as long as he lives."""


class LaunchFailed(Exception):
    """A run that never began: the kind for programs, the message for people.

    `remedy` is the end of the message that says what to do, where that is known apart from the rest, `what`.
    """

    def __init__(self, kind: FailureKind, what: str, remedy: str = "") -> None:
        self.message = f"{what} {remedy}".strip()
        super().__init__(self.message)
        self.kind = kind
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True)
class Place:
    """Somewhere a run can happen: a host and the GPUs of one model that it may use (none: its CPU)."""

    host: str
    gpu_model: str | None = None
    gpu_uuids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """One try at a run. Everything that the container writes must echo `nonce`."""

    study_uid: str
    run_id: str
    number: int
    nonce: str
    study_folder: Path
    folder: Path
    """The exchange folder, absolute; `in/` is written but for `allocation.json`, `out/` is there and empty."""
    config: ExperimentConfig
    model_path: str
    adapter_path: str | None = None
    image: str | None = None
    digest: str | None = None

    @property
    def handle(self) -> str:
        """The name under which this attempt is found again (a container's name, a process's mark)."""
        return f"llem-{self.study_uid}-{self.run_id}-{self.nonce}"


@dataclass(frozen=True)
class Poll:
    """What a look at a run found: the events written since the offset, and how it ended (None: it goes on)."""

    events: bytes
    ended: Ended | None
    more: bool = False
    """Whether further events are there already."""


class Launcher(Protocol):
    """Where runs happen."""

    name: str
    survives_host: bool
    """Whether a run goes on when the host dies, so that the next one can wait for its end."""

    @property
    def described(self) -> str:
        """How runs happen, for people: `Runs are …`. Known once it is prepared."""

    def prepare(
        self,
        backends: Sequence[str],
        images: Mapping[str, str],
        parent: Path,
        checklist: Checklist,
        resumed: str | None = None,
    ) -> Mapping[str, Image]:
        """Make ready what all runs need, before the first; the image of each backend (without a name: none).

        `images` holds those that were named, `parent` is where study folders are made, `resumed` the uid of a study
        that goes on: what is left of it is not cleared away. What is wrong is noted in `checklist`, all of it, and what
        would be fetched is not once something is. Raises NotReadyError where we were asked to end.
        """

    @property
    def engine_id(self) -> str | None:
        """What tells the engine that runs go on in without us from any other; None where nothing does."""

    def keep_runner(self, study_folder: Path, name: str | None) -> str | None:
        """Choose the runner of all runs of a study; what names it, or None where that is simply ours.

        `name` is the one that the study has used until now. Raises NotReadyError.
        """

    def check_readable(self, folders: Sequence[str]) -> None:
        """Raise NotReadyError where a run could not read one of these model or adapter folders."""

    def gpu_facts(self) -> GpuFacts:
        """The memory of the GPUs that the study may use, and what tells whether driver and software go together.

        Known once it is prepared; what nobody could tell is left out.
        """

    def capacity(self) -> Sequence[Place]:
        """Places that the study may use, one per host and GPU model; at least one. Known once it is prepared."""

    def start(self, attempt: Attempt, place: Place) -> str:
        """Start the run and return its handle. Writes `in/allocation.json`. Raises LaunchFailed, OSError."""

    def find(self, attempt: Attempt) -> str | None:
        """The handle, if this attempt is still to be found (a host before us may have started it)."""

    def poll(self, handle: str, offset: int) -> Poll:
        """Bytes of `out/events.jsonl` from `offset` on (a bounded piece), and the state."""

    def collect(self, handle: str) -> None:
        """Return when `out/` and `container.log` are complete in the folder on this host, and nothing else is left."""

    def record(self, handle: str) -> Mapping[str, Any]:
        """What only the launcher knows of a run, as JSON values: for `launch.json` and the result's environment."""

    def stop(self, handle: str, grace_s: float) -> Ended:
        """Ask the run to end, and make it end after `grace_s` seconds. 0 kills at once."""

    def memory_used(self, gpu_uuids: Sequence[str]) -> Mapping[str, int | None]:
        """Bytes in use on each GPU; None for one that does not tell.

        Raises LaunchFailed, NotReadyError where nobody could look, which says nothing of the GPUs.
        """

    def other_user(self, gpu_uuid: str, study_uid: str) -> str | None:
        """In words: who uses a GPU that no llem has leased, as a run does that outlived its llem; None where nobody.

        What belongs to `study_uid`, ours, does not count. Raises LaunchFailed.
        """

    def pids(self, handle: str) -> frozenset[int] | None:
        """The run's processes, by the ids of the machine it is on; None where nobody can tell."""

    def clear(self, study_uid: str) -> None:
        """End and remove whatever is left of a study that is ours."""

    def kill(self) -> None:
        """Kill what runs, at once: called from a signal handler."""

    def close(self) -> None:
        """End whatever of ours still runs. Safe to call twice."""
