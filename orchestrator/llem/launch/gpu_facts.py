"""What decides before a run whether it fits onto GPUs: their memory, what the driver can do, what software asks for.

Pure, but for `local_cuda`, which reads a file of the installed torch.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CudaVersion = tuple[int, int]
"""Major and minor."""

_MINORS_ALIKE_FROM = 11
"""From CUDA 11 on, what was built for a major version runs on every driver of it (minor version compatibility)."""
_REQUIRED = re.compile(r"\bcuda>=(\d+\.\d+)")
_VERSION = re.compile(r"(\d+)\.(\d+)")
_TORCHS_OWN = re.compile(r"^cuda\b[^=\n]*=\s*['\"](\d+\.\d+)", re.MULTILINE)


@dataclass(frozen=True)
class GpuMemory:
    """Bytes of a GPU. `used_bytes` is what programs have of it: what the driver keeps for itself is left out."""

    total_bytes: int
    used_bytes: int


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver: its version, the newest CUDA that it can do, and its NVML's version."""

    version: str | None = None
    cuda: CudaVersion | None = None
    nvml: str | None = None


@dataclass(frozen=True)
class GpuFacts:
    """`memory` by UUID, without GPUs that do not tell. `cuda_needed`: what a backend was built for, where known."""

    memory: Mapping[str, GpuMemory] = field(default_factory=dict)
    driver: Driver = Driver()
    cuda_needed: Mapping[str, CudaVersion] = field(default_factory=dict)


def cuda_version(text: str | None) -> CudaVersion | None:
    """A version that is written `12.8`, or `12.8.1`; None where it is not."""
    found = _VERSION.match(text or "")
    return (int(found[1]), int(found[2])) if found else None


def cuda_needed(environment: Iterable[str], torch_cuda: str | None = None) -> CudaVersion | None:
    """The CUDA that an image asks of the driver; None where nothing tells.

    `environment` are its variables (`NAME=value`), `torch_cuda` is what its torch was built for, which computes: it
    counts before what the base image says of itself.
    """
    variables = dict(line.split("=", 1) for line in environment if "=" in line)
    required = _REQUIRED.search(variables.get("NVIDIA_REQUIRE_CUDA", ""))
    written = (torch_cuda, required[1] if required else None, variables.get("CUDA_VERSION"))
    return next(filter(None, map(cuda_version, written)), None)


def runs_on(driver: CudaVersion, needed: CudaVersion) -> bool:
    """Whether a driver that can do CUDA `driver` runs what was built for `needed`."""
    if needed[0] >= _MINORS_ALIKE_FROM and driver[0] == needed[0]:
        return True
    return driver >= needed


def local_cuda() -> CudaVersion | None:
    """The CUDA that this Python's torch was built for; None for a build without, and without torch."""
    spec = importlib.util.find_spec("torch")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        try:
            text = (Path(folder) / "version.py").read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        found = _TORCHS_OWN.search(text)
        return cuda_version(found[1]) if found else None
    return None
