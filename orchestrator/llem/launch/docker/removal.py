"""Removing a folder that a stranger has filled: as deep as he likes, closed as he likes."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from itertools import count
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(root: Path) -> None:
    """Remove a folder of ours with all that is in it; no link is followed. What cannot be removed stays.

    A folder in a folder is first moved to the top: no path is ever longer than two names, and nothing is recursive.
    """
    with suppress(OSError):
        fd = _opened(str(root), None)
        try:
            _empty(fd)
        finally:
            os.close(fd)
        root.rmdir()


def _empty(top: int) -> None:
    names = map("llem-{}".format, count())
    folders = deque(_swept(top))
    while folders:
        name = folders.popleft()
        with suppress(OSError):
            fd = _opened(name, top)
            try:
                for inner in _swept(fd):
                    new = next(name for name in names if not os.access(name, os.F_OK, dir_fd=top))
                    with suppress(OSError):
                        os.rename(inner, new, src_dir_fd=fd, dst_dir_fd=top)
                        folders.append(new)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=top)


def _swept(fd: int) -> list[str]:
    """Remove everything in a folder but folders; their names."""
    with os.scandir(fd) as entries:
        found = list(entries)
    for entry in found:
        if not entry.is_dir(follow_symlinks=False):
            with suppress(OSError):
                os.unlink(entry.name, dir_fd=fd)
    return [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]


def _opened(name: str, parent: int | None) -> int:
    """The folder, open to us: its owner may have closed it even to himself. Raises OSError."""
    fd = os.open(name, os.O_PATH | _FOLDER, dir_fd=parent)
    try:
        # By way of /proc: a descriptor that only names a file changes nothing itself, and a name may be a link by now.
        ours = Path(f"/proc/self/fd/{fd}")
        with suppress(PermissionError):
            ours.chmod(0o700)
        return os.open(ours, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(fd)
