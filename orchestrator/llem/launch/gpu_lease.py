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
_ASK_EVERY_S = 2.0
"""Where it is not a lock that is in the way: a container engine is asked, while somebody may measure."""
# Between another user's mkdir and chmod the folder is not yet everybody's: for so long it may look wrong.
_FOLDER_LOOKS, _FOLDER_LOOK_EVERY_S = 20, 0.05


class LeaseGivenUp(Exception):
    """Somebody asked us to stop while we waited for a GPU. Nothing is leased."""


def nobody(uuid: str) -> str | None:
    """No GPU is used by anybody but holders of leases."""
    del uuid
    return None


@contextmanager
def leased(
    uuids: Sequence[str],
    wait: Callable[[float], bool],
    notice: Callable[[str], None],
    folder: Path = LOCKS,
    *,
    some: Sequence[str] = (),
    count: int = 0,
    user: Callable[[str], str | None] = nobody,
) -> Iterator[tuple[str, ...]]:
    """Have all the GPUs `uuids` and `count` of `some` to ourselves within a `with`; yields which of `some` these are.

    The first free ones of `some` are taken, in their order. Where it is not enough we wait, and hold nothing meanwhile:
    two that wait for each other's GPUs would wait for ever. `user(uuid)` says in words who else uses a GPU that nobody
    has leased. `wait(seconds)` sleeps and says whether we were asked to stop; `notice` hears once of each GPU that is
    waited for. Raises LeaseGivenUp, and NotReadyError where `folder` cannot hold locks that all users share.
    """
    if not uuids and not count:
        yield ()
        return
    with ExitStack() as held:
        folder_fd = _open_folder(folder, wait)
        held.callback(os.close, folder_fd)

        def lock(uuid: str) -> _Lock:
            return _Lock(folder, folder_fd, uuid)

        told: set[str] = set()
        while True:
            trial = _Trial(lock, user)
            try:
                # In one order everywhere: of two that want the same GPUs one gets them.
                enough = all(trial.take(uuid) for uuid in sorted(set(uuids)))
                chosen = trial.take_some(some, count) if enough else ()
                if enough and len(chosen) == count:
                    held.push(trial.held.pop_all())
                    break
            finally:
                trial.held.close()
            if not told.issuperset(trial.in_the_way):
                told.update(trial.in_the_way)
                notice(_waiting(trial.in_the_way, count - len(chosen)))
            if wait(_ASK_EVERY_S if trial.asked_in_vain else _LOOK_EVERY_S):
                raise LeaseGivenUp("stopped while waiting for a GPU")
        yield chosen


def is_leased(uuid: str, folder: Path = LOCKS) -> bool:
    """Whether somebody has a GPU leased just now; False where that cannot be seen."""
    with suppress(NotReadyError, OSError), ExitStack() as opened:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        opened.callback(os.close, folder_fd)
        return _Lock(folder, folder_fd, uuid).is_held()
    return False


def _waiting(in_the_way: Sequence[str], missing: int) -> str:
    for_what = "it" if len(in_the_way) == 1 else f"{missing} of them"
    return f"{'; '.join(in_the_way)}; waiting for {for_what}."


class _Trial:
    """One try at all the GPUs that are wanted. What it got is in `held`."""

    def __init__(self, lock: Callable[[str], _Lock], user: Callable[[str], str | None]) -> None:
        self._lock = lock
        self._user = user
        self.held = ExitStack()
        self.in_the_way: list[str] = []
        """Why GPUs were not to be had."""
        self.asked_in_vain = False
        """Whether a GPU that nobody has leased is in use."""

    def take(self, uuid: str) -> bool:
        """Whether the GPU is ours now."""
        fd = self._lock(uuid).take()
        if fd is None:
            self.in_the_way.append(f"GPU {uuid} is in use by another llem run")
            return False
        with ExitStack() as lock:
            lock.callback(os.close, fd)
            if (user := self._user(uuid)) is None:
                self.held.push(lock.pop_all())
                return True
        self.in_the_way.append(f"GPU {uuid} is in use by {user}")
        self.asked_in_vain = True
        return False

    def take_some(self, uuids: Sequence[str], count: int) -> tuple[str, ...]:
        """The first `count` that were to be had, or as many as there were."""
        taken: list[str] = []
        for uuid in uuids:
            if len(taken) < count and self.take(uuid):
                taken.append(uuid)
        return tuple(taken)


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

    def is_held(self) -> bool:
        """Whether somebody else holds it. Raises OSError, NotReadyError where nobody can tell."""
        fd = self._open_there()
        try:
            # Shared: two that only ask are not in each other's way.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _open(self) -> int:
        try:
            return self._open_there()
        except FileNotFoundError:
            self._make()
            return self._open_there()

    def _open_there(self) -> int:
        # Without O_CREAT: in a folder like this one the kernel refuses it for another user's file, even to root
        # (fs.protected_regular). O_NONBLOCK, because opening a pipe that somebody put there would wait.
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
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
