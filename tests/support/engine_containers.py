"""Containers on the test engine, as the tests of the engine itself start them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml
from docker.types import DeviceRequest

ENDED_PATIENCE_S = 300

HARDENED: dict[str, Any] = {
    "user": "65532:65532",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "read_only": True,
    "network_mode": "none",
    "init": True,
    "mem_limit": "4g",
    "memswap_limit": "4g",
    "pids_limit": 16384,
    "shm_size": "256m",
    "tmpfs": dict.fromkeys(("/tmp", "/home/llem"), "rw,exec,nosuid,nodev,size=1g,mode=1777"),
}
HARDENED_VARIABLES = {
    "HOME": "/home/llem",
    "USER": "llem",
    "LOGNAME": "llem",
    "XDG_CACHE_HOME": "/home/llem/.cache",
    "HF_HOME": "/home/llem/hf",
    "HF_HUB_OFFLINE": "1",
    "TORCHINDUCTOR_CACHE_DIR": "/home/llem/inductor",
    "TRITON_CACHE_DIR": "/home/llem/triton",
}


@dataclass(frozen=True)
class Ended:
    """How a container ended, and what it printed."""

    exit_code: int
    output: str


def gpus(*uuids: str, count: int | None = None, capabilities: tuple[str, ...] = ("gpu", "utility", "compute")) -> Any:
    """A request for boards by UUID, or for `count` of them (-1: all)."""
    chosen = {"count": count} if count is not None else {"device_ids": list(uuids)}
    return [DeviceRequest(driver="nvidia", capabilities=[list(capabilities)], **chosen)]


def read_only(*mounts: tuple[Path | str, str]) -> dict[str, dict[str, str]]:
    """`volumes` that show (what, where) and let nobody write."""
    return {str(outside): {"bind": inside, "mode": "ro"} for outside, inside in mounts}


@contextmanager
def started(client: Any, image: str, command: list[str], **options: Any) -> Iterator[Any]:
    """A running container, removed at the end whatever happens."""
    container = client.containers.create(image, command, **{**HARDENED, **options})
    try:
        container.start()
        yield container
    finally:
        container.remove(force=True, v=True)


def ran(client: Any, image: str, command: list[str], **options: Any) -> Ended:
    """A container, started and waited for."""
    with started(client, image, command, **options) as container:
        code = container.wait(timeout=ENDED_PATIENCE_S)["StatusCode"]
        return Ended(code, container.logs().decode())


def python_with_pynvml(program: str) -> dict[str, Any]:
    """What to add so that an image with nothing but Python runs `program` with this machine's pynvml."""
    return {
        "command": ["python3", "-c", program],
        "environment": {"PYTHONPATH": "/opt/pynvml", "PYTHONUNBUFFERED": "1"},
        "volumes": read_only((Path(pynvml.__file__).resolve(), "/opt/pynvml/pynvml.py")),
    }
