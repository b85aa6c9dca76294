"""Containers of hosts that died: found by their labels, removed where their study's lock is free, and nobody else's."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llem.launch.docker.engine import Engine, Json
from llem.launch.protocol import Attempt, LaunchFailed

STUDY, RUN, ATTEMPT, FOLDER, UID = (f"org.llem.{name}" for name in ("study", "run", "attempt", "folder", "uid"))
LOCK_FILE = ".lock"


def labels_of(attempt: Attempt, uid: int) -> dict[str, str]:
    """The labels by which a run's container is found again."""
    return {
        STUDY: attempt.study_uid,
        RUN: attempt.run_id,
        ATTEMPT: str(attempt.number),
        FOLDER: str(attempt.study_folder),
        UID: str(uid),
    }


def remove_leftovers(engine: Engine, uid: int) -> list[str]:
    """Remove the caller's containers whose owner is dead; their names.

    A study that is being resumed is locked by now, by us: its containers stay. Raises LaunchFailed.
    """
    removed = []
    for container in engine.containers({UID: str(uid)}):
        labels = container.get("Labels") or {}
        with _owner_is_dead(Path(labels.get(FOLDER, "")), container) as dead:
            if dead:
                engine.remove(str(container["Id"]))
                removed.append(_name(container))
    return removed


def remove_of_study(engine: Engine, study_uid: str, uid: int) -> None:
    """Remove every container of one study, which is ours. What the engine refuses now, the next start removes."""
    with suppress(LaunchFailed):
        for container in engine.containers({STUDY: study_uid, UID: str(uid)}):
            engine.remove(str(container["Id"]))


@contextmanager
def _owner_is_dead(folder: Path, container: Json) -> Iterator[bool]:
    """Whether nobody runs the study of `folder`; while this lasts nobody begins to."""
    if not folder.is_absolute():
        # No label of ours.
        yield False
        return
    try:
        fd = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        # The study was deleted; or all of this is not ours to see, from within a container with other mounts.
        yield folder.parent.is_dir() or container.get("State") != "running"
        return
    except OSError:
        yield False
        return
    try:
        yield _locked(fd)
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _name(container: Json) -> str:
    return str((container.get("Names") or ["?"])[0]).lstrip("/")
