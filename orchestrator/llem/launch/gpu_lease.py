"""Who has which GPU: two runs never share one, not even those of two studies, or of two users, on one machine.

A lease is a lock (`flock`) on a file that stands for the GPU. The kernel ends it with the process that holds it,
however that ends: there is nothing to clean up, and nothing stale.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from llem.errors import NotReadyError

LOCKS = Path("/tmp/llem-gpu-locks")
"""One for all users: not below anybody's home, and not where TMPDIR points, which differs between them."""

_EVERYBODYS_FOLDER = 0o1777
_EVERYBODYS_FILE = 0o666
_LOOK_EVERY_S = 0.5
# Between another user's mkdir and chmod the folder is not yet everybody's: for so long it may look wrong.
_FOLDER_LOOKS, _FOLDER_LOOK_EVERY_S = 20, 0.05


class LeaseGivenUp(Exception):
    """Somebody asked us to stop while we waited for a GPU. Nothing is leased."""


@contextmanager
def leased(
    uuids: Sequence[str], wait: Callable[[float], bool], notice: Callable[[str], None], folder: Path = LOCKS
) -> Iterator[None]:
    """Have the GPUs `uuids` to ourselves within a `with`; waits while another llem has one of them.

    `wait(seconds)` sleeps and says whether we were asked to stop; `notice` hears once of each GPU that is waited for.
    Raises LeaseGivenUp, and NotReadyError where `folder` cannot hold locks that all users share.
    """
    with ExitStack() as held:
        if uuids:
            folder_fd = _open_folder(folder, wait)
            held.callback(os.close, folder_fd)
            # In one order everywhere: two that want the same GPUs never wait for each other.
            for uuid in sorted(set(uuids)):
                held.callback(os.close, _lease(_Lock(folder, folder_fd, uuid), wait, notice))
        yield


def _lease(lock: _Lock, wait: Callable[[float], bool], notice: Callable[[str], None]) -> int:
    told = False
    while (fd := lock.take()) is None:
        if not told:
            notice(f"GPU {lock.uuid} is in use by another llem run; waiting for it.")
            told = True
        if wait(_LOOK_EVERY_S):
            raise LeaseGivenUp(f"stopped while waiting for GPU {lock.uuid}")
    return fd


class _Lock:
    """The file of one GPU."""

    def __init__(self, folder: Path, folder_fd: int, uuid: str) -> None:
        self.uuid = uuid
        self._folder_fd = folder_fd
        self._name = re.sub(r"[^A-Za-z0-9-]", "_", uuid) + ".lock"
        self._path = folder / self._name

    def take(self) -> int | None:
        """A descriptor that holds the lock, or None where somebody else does. Raises NotReadyError."""
        try:
            fd = self._open()
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_still(fd):
                return fd
        except BlockingIOError:
            pass
        except OSError as error:
            os.close(fd)
            raise self._unusable(error.strerror or str(error)) from error
        os.close(fd)
        return None

    def _open(self) -> int:
        # Without O_CREAT: in a folder like this one the kernel refuses it for another user's file, even to root
        # (fs.protected_regular). O_NONBLOCK, because opening a pipe that somebody put there would wait.
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(self._name, flags, dir_fd=self._folder_fd)
        except FileNotFoundError:
            self._make()
            fd = os.open(self._name, flags, dir_fd=self._folder_fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._unusable("not a regular file")
        return fd

    def _make(self) -> None:
        """Make the file with everybody's rights at once: linked under its name only when it has them."""
        draft = f".{secrets.token_hex(8)}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(draft, flags, _EVERYBODYS_FILE, dir_fd=self._folder_fd)
        try:
            os.fchmod(fd, _EVERYBODYS_FILE)
            with suppress(FileExistsError):
                os.link(draft, self._name, src_dir_fd=self._folder_fd, dst_dir_fd=self._folder_fd)
        finally:
            os.close(fd)
            os.unlink(draft, dir_fd=self._folder_fd)

    def _is_still(self, fd: int) -> bool:
        """Whether the file is still what its name stands for: it may have been removed before we had the lock."""
        try:
            named = os.stat(self._name, dir_fd=self._folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(fd))

    def _unusable(self, why: str) -> NotReadyError:
        return NotReadyError(
            f"{self._path} cannot be locked ({why}), so llem cannot make sure that it has GPU {self.uuid} to itself. "
            f"Remove it while no llem runs (as its owner or as root): rm -rf {self._path}"
        )


def _open_folder(folder: Path, wait: Callable[[float], bool]) -> int:
    """A descriptor of the folder, made where it is missing. Raises NotReadyError, LeaseGivenUp."""
    for _ in range(_FOLDER_LOOKS):
        fd = _everybodys(folder)
        if fd is not None:
            # Cleaners of /tmp (systemd-tmpfiles) leave a folder alone that somebody holds a lock on, even a shared
            # one. It is a courtesy: we go on where a cleaner has its own lock on it just now.
            with suppress(OSError):
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return fd
        if wait(_FOLDER_LOOK_EVERY_S):
            raise LeaseGivenUp("stopped before any GPU was leased")
    raise _folder_unusable(folder, "not every user of this machine may write to it")


def _everybodys(folder: Path) -> int | None:
    """The folder, open; None where its rights are not (yet) everybody's. One of our own is given them."""
    try:
        with suppress(FileExistsError):
            folder.mkdir(_EVERYBODYS_FOLDER)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if not os.path.lexists(folder):
            raise NotReadyError(f"{folder} cannot be made ({error.strerror}): llem keeps its locks there.") from error
        if isinstance(error, PermissionError):
            return None
        raise _folder_unusable(folder, "it is a link, or no folder") from error
    status = os.fstat(fd)
    if status.st_mode & _EVERYBODYS_FOLDER == _EVERYBODYS_FOLDER:
        return fd
    if status.st_uid == os.geteuid():
        # The umask has taken rights from it.
        os.fchmod(fd, _EVERYBODYS_FOLDER)
        return fd
    os.close(fd)
    return None


def _folder_unusable(folder: Path, why: str) -> NotReadyError:
    return NotReadyError(
        f"{folder} cannot hold the locks by which llem's runs share the GPUs of this machine: {why}. "
        f"Remove it while no llem runs (as its owner or as root): rm -rf {folder}. llem then makes it anew."
    )
