"""What a run's container is, as the engine's API wants it. Pure: all of launching and hardening is here.

Every line has its reason in one of two lists: what makes a run measurable and findable, and what keeps code that came
with a model from reaching anything but its own `out/`, its cache and its memory.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llem.launch.docker.engine import EngineFacts, EngineImage, Json

EXCHANGE = "/exchange"
RUNNER = "/opt/llem"
MODEL = "/model"
ADAPTER = "/adapter"
CACHE = "/cache"
HOME = "/home/llem"

NOBODY = 65532
"""Who code is in a container when the caller is root: nobody that the host knows."""
_TMPFS = "rw,exec,nosuid,nodev,mode=1777,size=4g"
_NOTHING = "rw,noexec,nosuid,nodev,mode=0555,size=64k"
"""Written by root alone: `ro` would leave no way to mount what lies below it."""
_LEFT_FOR_HOST_BYTES = 4 << 30
_MOST_PIDS = 16384
"""It counts threads, of which an engine has hundreds on a large machine."""
_STACK_BYTES = 64 << 20
_LOG = {"Type": "local", "Config": {"max-size": "8m", "max-file": "2"}}

GpuDriver = Literal["nvidia", "cdi"]

_OF_US = {
    "USER": "llem",
    "LOGNAME": "llem",
    "HOME": HOME,
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HOME": f"{HOME}/huggingface",
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "XDG_CACHE_HOME": CACHE,
    "XDG_CONFIG_HOME": f"{HOME}/.config",
    "VLLM_CACHE_ROOT": f"{CACHE}/vllm",
    "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/torchinductor",
    "TRITON_CACHE_DIR": f"{CACHE}/triton",
    "CUDA_CACHE_PATH": f"{CACHE}/cuda",
    "FLASHINFER_WORKSPACE_BASE": f"{CACHE}/flashinfer",
    "NUMBA_CACHE_DIR": f"{CACHE}/numba",
    "MPLCONFIGDIR": f"{HOME}/matplotlib",
}


@dataclass(frozen=True)
class ContainerSettings:
    """The study's `docker` section, in numbers. `memory_bytes` None: the host's memory less 4 GiB."""

    gpu_driver: Literal["auto", "nvidia", "cdi"] = "auto"
    memory_bytes: int | None = None
    shm_bytes: int = 8 << 30
    network: str = "none"


@dataclass(frozen=True)
class Caller:
    """Who runs llem."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    """Further ones: models of a project may be readable for its group alone."""

    def inside(self, facts: EngineFacts) -> tuple[int, int]:
        """Who that is in a container: root of a rootless engine is the caller, and nobody else can write for him."""
        if facts.rootless:
            return 0, 0
        return (NOBODY, NOBODY) if self.uid == 0 else (self.uid, self.gid)

    def groups_inside(self, facts: EngineFacts) -> list[str]:
        """Further groups in a container: none of root's, and a rootless engine knows no groups but its own."""
        if facts.rootless or self.uid == 0:
            return []
        return [str(group) for group in sorted(set(self.groups) - {self.gid, 0})]


@dataclass(frozen=True)
class Shown:
    """A folder of the host that a container sees at `inside`."""

    outside: Path
    inside: str
    writable: bool = False


@dataclass(frozen=True)
class Gpus:
    """Boards to ask for; `uuids` None for all there are."""

    driver: GpuDriver
    uuids: tuple[str, ...] | None


def container_request(
    *,
    image: EngineImage,
    arguments: Sequence[str],
    shown: Sequence[Shown],
    gpus: Gpus | None,
    labels: dict[str, str],
    settings: ContainerSettings,
    facts: EngineFacts,
    caller: Caller,
) -> Json:
    """The body of the engine's `POST /containers/create` for one run of `python3 -m llem_runner ARGUMENTS…`."""
    uid, gid = caller.inside(facts)
    return {
        "Image": image.id,
        "Entrypoint": ["python3", "-m", "llem_runner"],
        "Cmd": list(arguments),
        "User": f"{uid}:{gid}",
        # `-m` looks in the working folder first: not in one of the image's, where anything may lie.
        "WorkingDir": HOME,
        "Env": [f"{name}={value}" for name, value in _environment(image, gpus).items()],
        "Labels": labels,
        # An image may name another signal, or a command that is run now and then: on the clock that is measured.
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **_limits(settings, facts),
            **_hardening(settings),
            "GroupAdd": caller.groups_inside(facts),
            # Else who is inside is somebody else on the host, who could not write into the run's folder.
            **({"UsernsMode": "host"} if facts.userns else {}),
            "Tmpfs": _tmpfs(image, {each.inside for each in shown}, facts, (uid, gid)),
            **_mounts(shown, facts),
            "DeviceRequests": [_device_request(gpus)] if gpus else [],
            # PID 1 hands SIGTERM on and reaps what the engine's workers leave.
            "Init": True,
            # The engine's own removal would take the exit state and the log with it.
            "AutoRemove": False,
            "RestartPolicy": {"Name": "no"},
            **({} if facts.podman else {"LogConfig": _LOG}),
        },
    }


def _environment(image: EngineImage, gpus: Gpus | None) -> dict[str, str]:
    """Variables of the run; nothing of the caller's own, where secrets are."""
    of_image = dict(line.split("=", 1) for line in image.environment if "=" in line)
    further = [path for path in of_image.get("PYTHONPATH", "").split(":") if path and path != RUNNER]
    return {
        **_OF_US,
        "PYTHONPATH": ":".join([RUNNER, *further]),
        # Images of CUDA say `all`, which a runtime that is the engine's default would take at its word.
        "NVIDIA_VISIBLE_DEVICES": _named(gpus) if gpus and gpus.driver == "nvidia" else "void",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        **({"CUDA_VISIBLE_DEVICES": ",".join(gpus.uuids)} if gpus and gpus.uuids is not None else {}),
        **({"CUDA_VISIBLE_DEVICES": ""} if gpus is None else {}),
    }


def _named(gpus: Gpus) -> str:
    return "all" if gpus.uuids is None else ",".join(gpus.uuids)


def _limits(settings: ContainerSettings, facts: EngineFacts) -> Json:
    """Memory without swap, so that running out of it is seen; a rootless engine may raise no limit of its own."""
    memory = settings.memory_bytes or _default_memory_bytes(facts.memory_bytes)
    ulimits = [
        {"Name": "memlock", "Soft": facts.memlock_bytes, "Hard": facts.memlock_bytes},
        {"Name": "stack", "Soft": _STACK_BYTES, "Hard": _STACK_BYTES},
    ]
    return {
        **({"Memory": memory, "MemorySwap": memory} if memory else {}),
        # Its own, not the host's: with `ipc=host` workers outlive their container.
        "ShmSize": settings.shm_bytes,
        "PidsLimit": _MOST_PIDS,
        "Ulimits": [] if facts.rootless else ulimits,
    }


def _default_memory_bytes(total: int) -> int:
    return max(total - _LEFT_FOR_HOST_BYTES, total // 2)


def _hardening(settings: ContainerSettings) -> Json:
    return {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "NetworkMode": settings.network,
    }


def _tmpfs(image: EngineImage, mounted: set[str], facts: EngineFacts, owner: tuple[int, int]) -> dict[str, str]:
    """Writable places in memory.

    Libraries that are compiled on the spot are loaded from them, which Docker's own default (noexec) forbids. A volume
    that the image declares would be one more writable place, and one that stays: an empty one hides it.
    """
    volumes = {posixpath.normpath(path) for path in image.volumes} - mounted
    # Where an image has a folder at that place, runc gives the tmpfs that folder's mode: owned by who is inside, it is
    # writable all the same. Podman knows no owner, keeps to our mode, and would copy the image's files.
    own = "notmpcopyup" if facts.podman else f"uid={owner[0]},gid={owner[1]}"
    nothing = f"{_NOTHING},notmpcopyup" if facts.podman else _NOTHING
    return {**dict.fromkeys(sorted(volumes), nothing), **dict.fromkeys(("/tmp", HOME), f"{_TMPFS},{own}")}


def _mounts(shown: Sequence[Shown], facts: EngineFacts) -> Json:
    """Bind mounts that fail where the host's folder is not there; with SELinux in the form that relabels."""
    if facts.selinux:
        return {"Binds": [f"{each.outside}:{each.inside}:{'rw' if each.writable else 'ro'},z" for each in shown]}
    return {
        "Mounts": [
            {"Type": "bind", "Source": str(each.outside), "Target": each.inside, "ReadOnly": not each.writable}
            for each in shown
        ]
    }


def _device_request(gpus: Gpus) -> dict[str, Any]:
    if gpus.driver == "cdi":
        names = ("all",) if gpus.uuids is None else gpus.uuids
        return {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={name}" for name in names]}
    # `utility` is what brings libnvidia-ml, without which nothing is measured.
    asked = {"Driver": "nvidia", "Capabilities": [["gpu", "utility", "compute"]]}
    return {**asked, "Count": -1} if gpus.uuids is None else {**asked, "DeviceIDs": list(gpus.uuids)}
