"""Reading what a container wrote, as data from a stranger.

The stranger may have put a link, a pipe, a device or an endless file where a result is expected. No link is followed
below the run's folder, nothing but a regular file is read, and no more of it than the cap.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

MOST_IN_PIECES_BYTES = 128 << 20
"""A runner that writes events as often as it may takes six days for as much."""

Reason = Literal["missing", "link", "not_regular", "too_large", "unreadable"]

# O_NONBLOCK: opening a pipe that nobody writes to must not hang. O_NOCTTY: a terminal must not become ours.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Untrusted(Exception):
    """A file that is not read: `reason` for programs, the message for people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_untrusted(run_folder: Path, name: str, max_bytes: int) -> bytes:
    """The content of `name` ("out/result.json") below the run's folder. Raises Untrusted."""
    with open_untrusted(run_folder, name, max_bytes) as file:
        try:
            # One more than the cap: the file may have grown since it was looked at.
            content = file.read(max_bytes + 1)
        except OSError as error:
            raise _unreadable(name, error) from error
    if len(content) > max_bytes:
        raise _too_large(name, max_bytes)
    return content


def is_there(run_folder: Path, name: str) -> bool:
    """Whether a file that could be read lies at `name`."""
    try:
        with open_untrusted(run_folder, name, sys.maxsize):
            return True
    except Untrusted:
        return False


def read_piece(run_folder: Path, name: str, offset: int, max_bytes: int) -> bytes:
    """At most `max_bytes` of `name` from `offset` on; nothing where it is not there yet, or is not to be read.

    Nothing either beyond `MOST_IN_PIECES_BYTES`: a file of holes is as long as somebody says, and costs him nothing.
    """
    try:
        with open_untrusted(run_folder, name, sys.maxsize) as file:
            file.seek(offset)
            return file.read(max(0, min(max_bytes, MOST_IN_PIECES_BYTES - offset)))
    except (Untrusted, OSError):
        return b""


@contextmanager
def open_untrusted(run_folder: Path, name: str, max_bytes: int) -> Iterator[BinaryIO]:
    """`name` below the run's folder, open for reading; at most `max_bytes` when it was looked at. Raises Untrusted."""
    try:
        fd = _open(run_folder, name)
    except FileNotFoundError as error:
        raise Untrusted("missing", f"{name} is missing") from error
    except OSError as error:
        raise _unreadable(name, error) from error
    try:
        # Looked at again: what was regular a moment ago may have been swapped.
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Untrusted("not_regular", f"{name} is not a regular file")
        if status.st_size > max_bytes:
            raise _too_large(name, max_bytes)
        with os.fdopen(fd, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(fd)


def _open(run_folder: Path, name: str) -> int:
    *folders, last = name.split("/")
    fd = os.open(run_folder, _FOLDER)
    try:
        for folder in folders:
            _refuse_unless(stat.S_ISDIR, folder, fd, f"{folder}/ of {name}")
            inner = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = inner
        # Looked at before it is opened, because opening a device alone may do something.
        _refuse_unless(stat.S_ISREG, last, fd, name)
        return os.open(last, _FILE, dir_fd=fd)
    finally:
        os.close(fd)


def _refuse_unless(wanted: Callable[[int], bool], name: str, folder_fd: int, where: str) -> None:
    mode = os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        raise Untrusted("link", f"{where} is a link, which is never followed")
    if not wanted(mode):
        raise Untrusted("not_regular", f"{where} is not a {'folder' if wanted is stat.S_ISDIR else 'regular file'}")


def _too_large(name: str, max_bytes: int) -> Untrusted:
    return Untrusted("too_large", f"{name} is larger than {max_bytes:,} bytes")


def _unreadable(name: str, error: OSError) -> Untrusted:
    return Untrusted("unreadable", f"{name} cannot be read: {error.strerror or error}")
