"""A small file system that the host and a running engine both see.

The engine has mounts of its own: what the host mounts after its start it does not see. A copy of the mount, taken here
and put down there, is the same file system in both.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker_engine import Daemon

# open_tree, setns and move_mount, by their numbers (the same on all of Linux) where Python has no names for them.
_PUT_THERE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)

def done(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

engine, folder, here = sys.argv[1], sys.argv[2].encode(), -100
copy = done(libc.syscall(428, here, folder, 1))
done(libc.setns(os.open(f"/proc/{engine}/ns/mnt", os.O_RDONLY), 0))
done(libc.syscall(429, copy, b"", here, folder, 4))
"""


@contextmanager
def shown_disk(daemon: Daemon, folder: Path, size: str) -> Iterator[Path]:
    """A file system of `size` (as mount says it: `8m`) in `folder`, which is made. Needs root, as the engine does."""
    process = daemon.process()
    assert process is not None, "the engine is not up"
    # The first process is the one that waits outside: the daemon's mounts are those of its child.
    inside = str(process.children()[0].pid)
    folder.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder))
    try:
        _run(sys.executable, "-c", _PUT_THERE, inside, str(folder))
        try:
            yield folder
        finally:
            # In its process namespace, too: /proc there is of that one.
            _run("nsenter", "--mount", "--pid", "--target", inside, "umount", "--lazy", str(folder))
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[0]}: {done.stderr}"
