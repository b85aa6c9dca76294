"""The machine below the GPUs, from /proc and /sys: processor, its governor, memory, NUMA nodes, kernel."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def machine(root: Path = Path("/")) -> dict[str, Any]:
    """JSON values; None where the machine does not tell (a container or a virtual machine often hides the governor).

    `cpu_governor` is the governor of all CPUs, or the list of those in use. `root` is where /proc and /sys lie.
    """
    cpus = root / "sys/devices/system/cpu"
    return {
        "cpu_model": _first_value(root / "proc/cpuinfo", "model name"),
        "cpu_count": len(os.sched_getaffinity(0)),
        "cpu_sockets": len(_values(cpus, "cpu[0-9]*/topology/physical_package_id")) or None,
        "cpu_governor": _one_or_all(_values(cpus, "cpu[0-9]*/cpufreq/scaling_governor")),
        "cpu_frequency_driver": _one_or_all(_values(cpus, "cpu[0-9]*/cpufreq/scaling_driver")),
        "numa_nodes": len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }


def _values(folder: Path, pattern: str) -> list[str]:
    """What the files say, each content once."""
    found = {_text(path) for path in folder.glob(pattern)}
    return sorted(text for text in found if text)


def _one_or_all(values: list[str]) -> str | list[str] | None:
    return values[0] if len(values) == 1 else values or None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _first_value(path: Path, key: str) -> str | None:
    """The first `key : value` of a file like /proc/cpuinfo."""
    for line in (_text(path) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None
