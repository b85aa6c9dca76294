"""Building the library, and the environment in which programs find it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal

_HERE = Path(__file__).resolve().parent.parent
Variant = Literal["full", "no-energy-symbols"]


class LibraryNotBuilt(Exception):
    """The simulated NVML library could not be built; the message holds what make or the compiler said."""


@cache
def build_library(variant: Variant = "full") -> Path:
    """Build the library where it is not up to date, and return the folder for LD_LIBRARY_PATH.

    Any number of processes may ask at the same time: one builds, the others wait. Raises LibraryNotBuilt.
    """
    folder = _HERE / "build"
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make(folder)
    return folder if variant == "full" else folder / variant


def _make(folder: Path) -> None:
    command = ["make", "--no-print-directory", "-C", str(_HERE), f"OUT={folder}"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LibraryNotBuilt("make is not installed: the simulated NVML library needs make and gcc") from error
    except subprocess.CalledProcessError as error:
        raise LibraryNotBuilt(f"{' '.join(command)} failed:\n{error.stdout}{error.stderr}") from error


def simulated_environment(config: Path, variant: Variant = "full") -> dict[str, str]:
    """The variables to add to a program's environment so that it finds the library with these settings.

    A library path that is already set stays behind ours. Every board is shown, whatever this process itself may see.
    """
    folders = [str(build_library(variant)), os.environ.get("LD_LIBRARY_PATH", "")]
    return {
        "LD_LIBRARY_PATH": ":".join(folder for folder in folders if folder),
        "LLEM_TEST_NVML_CONFIG": str(config),
        "NVIDIA_VISIBLE_DEVICES": "all",
    }
