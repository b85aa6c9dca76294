"""Whether the engine's disk has room for what is to be pulled: asked before, for a full one stops everything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

_UNPACKED_FACTOR = 2.5
"""What an image takes on the disk, by what is downloaded: the layers of inference engines unpack to twice their size,
and the packed one lies beside the unpacked one for a while."""
_UNKNOWN_BYTES = 1 << 30
"""What an image is taken for that nobody knows the size of: with less room no engine of inference fits."""


def space_lacks(data_root: str, downloads: Mapping[str, int | None]) -> LaunchFailed | None:
    """Why the disk is too small for images (by name the bytes of their download, None: unknown); None where it is not.

    `data_root` is where the engine says that it keeps them.
    """
    free = free_bytes(data_root)
    needed = {name: _needed_bytes(download) for name, download in downloads.items()}
    if free is None or sum(needed.values()) <= free:
        return None
    each = ", ".join(f"{name} {gigabytes(needed[name])}" for name in needed)
    return LaunchFailed(
        FailureKind.DISK,
        f"{data_root}, where the engine keeps its images, has {gigabytes(free)} free, and pulling takes some "
        f"{gigabytes(sum(needed.values()))} ({each}, unpacked). Make room (docker system df, docker image prune). "
        "If much of them is there already and less will do, pull them by hand (docker pull), then begin again.",
    )


def free_bytes(data_root: str) -> int | None:
    """Free bytes where the engine keeps its data; None where that is not to be seen from here."""
    if not is_on_this_machine(data_root):
        return None
    return shutil.disk_usage(data_root).free


def is_on_this_machine(data_root: str) -> bool:
    """Whether the engine's data lie on a disk of this machine, as far as one can see."""
    host = os.environ.get("DOCKER_HOST", "unix://")
    return host.startswith("unix://") and bool(data_root) and Path(data_root).is_dir()


def gigabytes(size_bytes: float) -> str:
    """`1.3 GB`, as the engine's own tools say it."""
    return f"{size_bytes / 1e9:.1f} GB"


def _needed_bytes(download: int | None) -> int:
    return _UNKNOWN_BYTES if download is None else round(download * _UNPACKED_FACTOR)
