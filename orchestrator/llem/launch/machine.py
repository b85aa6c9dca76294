"""What a machine has, for people who look for what is wrong with it. Nothing here decides anything."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from llem.launch.gpu_facts import Driver
from llem.launch.models import cache_folder

_ANSWER_WITHIN_S = 5
_CDI_FOLDERS = (Path("/etc/cdi"), Path("/var/run/cdi"))


def machine_facts(nvidia: Driver) -> dict[str, str | None]:
    """Versions and places by name; None for what is not there."""
    cache = cache_folder()
    models = sorted(path.name for path in cache.iterdir() if path.is_dir()) if cache.is_dir() else []
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "driver": nvidia.version,
        "cuda_driver": ".".join(map(str, nvidia.cuda)) if nvidia.cuda else None,
        "nvml": nvidia.nvml,
        "container_toolkit": _container_toolkit(),
        "cdi": ", ".join(cdi_lists()) or None,
        "model_cache": f"{cache} ({_free(cache)} free; {', '.join(models) or 'nothing prepared'})",
    }


def cdi_lists(folders: Iterable[Path] = _CDI_FOLDERS) -> list[str]:
    """Files that name devices for containers (CDI)."""
    found = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()))
    return [str(path) for path in found if path.suffix in (".yaml", ".yml", ".json")]


def _container_toolkit() -> str | None:
    """The version of NVIDIA's container toolkit, in its own words."""
    program = shutil.which("nvidia-ctk")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not answer ({type(error).__name__})"
    lines = done.stdout.splitlines()
    return lines[0].strip() if lines else None


def _free(folder: Path) -> str:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return f"{shutil.disk_usage(there).free / 1e9:.1f} GB"
