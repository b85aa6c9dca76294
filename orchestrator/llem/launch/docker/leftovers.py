"""Containers of hosts that died: found by labels and name, removed where their study's lock is free, and no others."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from llem.launch.docker.engine import Engine, Json
from llem.launch.protocol import Attempt, LaunchFailed
from llem.printable import on_one_line

STUDY, RUN, ATTEMPT, FOLDER, UID, GPUS = (
    f"org.llem.{name}" for name in ("study", "run", "attempt", "folder", "uid", "gpus")
)
LOCK_FILE = ".lock"
PROBE_NAME = "llem-probe-"
_ASIDE_S = 10
_LIVES = ("running", "paused", "restarting", "removing")

Notice = Callable[[str], None]
Owner = Literal["dead", "alive", "unknown"]


def labels_of(attempt: Attempt, uid: int, gpu_uuids: Sequence[str]) -> dict[str, str]:
    """The labels by which a run's container, and who has its GPUs, is found again."""
    return {
        STUDY: attempt.study_uid,
        RUN: attempt.run_id,
        ATTEMPT: str(attempt.number),
        FOLDER: str(attempt.study_folder),
        UID: str(uid),
        GPUS: ",".join(gpu_uuids),
    }


def gpus_of(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The GPUs that labels name."""
    return tuple(filter(None, labels.get(GPUS, "").split(",")))


def remove_leftovers(engine: Engine, uid: int, notice: Notice, resumed: str | None) -> None:
    """Remove the caller's containers whose owner is dead, but those of the study `resumed`, which are to be adopted.

    One that cannot be removed, or whose owner cannot be told, stays, and is told. Raises LaunchFailed.
    """
    for container in engine.containers({UID: str(uid)}):
        # A look around is of no study yet, as a study that begins has no uid to be resumed by.
        if not _is_ours(container) or (resumed is not None and _labels(container).get(STUDY) == resumed):
            continue
        with _owner_of(container) as owner:
            if owner == "dead":
                _remove(engine, container, notice, "which a llem that died has left")
            elif owner == "unknown":
                notice(f"Container {_name(container)} is left alone: {_unseen(container)}")


def remove_of_study(engine: Engine, study_uid: str, uid: int, notice: Notice) -> None:
    """Remove every container of one study, which is ours. What the engine refuses now, the next start removes."""
    try:
        found = engine.containers({STUDY: study_uid, UID: str(uid)})
    except LaunchFailed:
        return
    for container in filter(_is_ours, found):
        _remove(engine, container, notice, "which this study has left")


def other_user(engine: Engine, uuid: str, study_uid: str, uid: int, notice: Notice | None) -> str | None:
    """In words: the container that uses a GPU which no llem has leased: it outlived its llem, which had.

    One of the caller's, whose study nobody goes on with, is removed, and `notice` told (None: it stays, too); those of
    `study_uid` do not count. Raises LaunchFailed.
    """
    found = None
    for container in engine.containers({GPUS: None}):
        labels = _labels(container)
        if uuid not in gpus_of(labels) or not _is_ours(container) or labels.get(STUDY) == study_uid:
            continue
        if labels.get(UID) != str(uid):
            if container.get("State") in _LIVES:
                found = f"container {_name(container)} of user {on_one_line(labels.get(UID, '?'))}"
            continue
        with _owner_of(container) as owner:
            if owner == "dead" and notice and _remove(engine, container, notice, "which a llem that died has left"):
                continue
            if container.get("State") in _LIVES:
                words = _unseen(container) if owner == "unknown" else "which outlived its llem"
                found = f"container {_name(container)} ({words})"
    return found


def user_by_engine(uuid: str, study_uid: str) -> str | None:
    """The same for who needs no engine: by the one that answers, if there is any."""
    with suppress(LaunchFailed):
        engine = Engine.connect(timeout_s=_ASIDE_S)
        try:
            return other_user(engine, uuid, study_uid, os.geteuid(), None)
        finally:
            engine.close()
    return None


def _remove(engine: Engine, container: Json, notice: Notice, what: str) -> bool:
    """Whether it is gone; either way people are told in one line."""
    try:
        engine.remove(str(container["Id"]))
    except LaunchFailed as failure:
        notice(f"Container {_name(container)}, {what}, could not be removed: {failure.message}")
        return False
    notice(f"Container {_name(container)}, {what}, was removed.")
    return True


def _is_ours(container: Json) -> bool:
    """Whether it has a name that we give: an image may carry our labels, and so whatever is made from it."""
    labels = _labels(container)
    if STUDY in labels:
        pattern = re.escape(f"llem-{labels[STUDY]}-{labels.get(RUN)}-") + "[0-9a-f]{32}"
    else:
        pattern = PROBE_NAME + "[0-9a-f]{16}"
    return re.fullmatch(pattern, _name(container)) is not None


@contextmanager
def _owner_of(container: Json) -> Iterator[Owner]:
    """Whether somebody runs the study of a container; while this lasts nobody begins to.

    A folder that is not to be seen tells nothing: the study may have been moved or deleted, or be on a disk that is not
    mounted here, as within a container of our own.
    """
    folder = Path(_labels(container).get(FOLDER, ""))
    try:
        fd = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CLOEXEC) if folder.is_absolute() else -1
    except (OSError, ValueError):
        fd = -1
    if fd < 0:
        yield "unknown"
        return
    try:
        yield "dead" if _locked(fd) else "alive"
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unseen(container: Json) -> str:
    folder = on_one_line(_labels(container).get(FOLDER, "?"))
    return (
        f"the folder of its study, {folder}, is not to be seen from here, so llem cannot tell whether somebody waits "
        f"for it. If nobody does: docker rm -f {shlex.quote(_name(container))}"
    )


def _labels(container: Json) -> Mapping[str, str]:
    return container.get("Labels") or {}


def _name(container: Json) -> str:
    return on_one_line(str((container.get("Names") or ["?"])[0]).lstrip("/"))
