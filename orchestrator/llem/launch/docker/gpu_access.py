"""Which GPUs containers may have, and how the engine is asked for them. Pure, but for what `look` does.

the engine accepts the request    the GPUs that NVML shows inside
it knows of no GPU                and the host has no driver either: the CPU, said aloud
any other refusal                 the study does not begin: never a silent fallback

Podman before 5.0 accepts whatever is requested, and gives nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from llem.launch.docker.engine import EngineFacts
from llem.launch.docker.faults import KNOWS_NO_GPU
from llem.launch.docker.request import GpuDriver, Gpus
from llem.launch.gpu_probe import ProbeReport
from llem.launch.gpus import Gpu
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

_NO_LIBRARY = "library_not_found"

Look = Callable[[Gpus | None], ProbeReport]


def gpu_access(
    look: Look,
    setting: Literal["auto", "nvidia", "cdi"],
    facts: EngineFacts,
    on_host: Sequence[Gpu],
    driver_on_host: Callable[[], bool],
) -> tuple[list[Gpu], GpuDriver]:
    """The GPUs that containers can be given, and by which driver of the engine.

    `look` starts a container with a request for GPUs and says what is seen inside; `on_host` are those that are wanted
    of what NVML shows on the host (empty where it is not there: all that there are). Raises LaunchFailed.
    """
    uuids = tuple(gpu.uuid for gpu in on_host) or None
    refusals: list[LaunchFailed] = []
    for driver in _drivers(setting, facts):
        try:
            report = look(Gpus(driver, uuids))
        except LaunchFailed as failure:
            if failure.kind is not FailureKind.GPU_REQUEST:
                raise
            refusals.append(failure)
            continue
        if facts.podman and setting == "auto" and report.nvml.outcome == _NO_LIBRARY and not driver_on_host():
            return [], driver
        there = check_seen(report, on_host)
        if driver == "cdi" and there and not on_host:
            _check_names(look, there)
        return there, driver
    # Asked for by hand, a driver that is not there is no reason to do without.
    if setting == "auto" and all(map(_knows_no_gpu, refusals)) and not driver_on_host():
        look(None)
        return [], "nvidia"
    raise _refused(" ".join(failure.message for failure in refusals))


def _check_names(look: Look, gpus: Sequence[Gpu]) -> None:
    """A run asks for GPUs by UUID; `all`, which was asked for until now, is a name that every list has."""
    try:
        look(Gpus("cdi", tuple(gpu.uuid for gpu in gpus)))
    except LaunchFailed as failure:
        if failure.kind is not FailureKind.GPU_REQUEST:
            raise
        raise _refused(failure.message) from failure


def _knows_no_gpu(refusal: LaunchFailed) -> bool:
    return any(words in refusal.message.lower() for words in KNOWS_NO_GPU)


def _refused(message: str) -> LaunchFailed:
    return LaunchFailed(
        FailureKind.GPU_REQUEST, message, "(To run on the CPU all the same, say so in the study: device: cpu.)"
    )


def _drivers(setting: Literal["auto", "nvidia", "cdi"], facts: EngineFacts) -> tuple[GpuDriver, ...]:
    if setting != "auto":
        return (setting,)
    if facts.podman:
        return ("cdi",)
    return ("nvidia", "cdi") if facts.cdi else ("nvidia",)


def check_seen(report: ProbeReport, on_host: Sequence[Gpu]) -> list[Gpu]:
    """The GPUs that were seen inside: of those `on_host` all, where any are named. Raises LaunchFailed."""
    if report.nvml.outcome not in ("ok", "gpu_lost", "no_devices"):
        raise _refused(
            "The engine accepted the request for GPUs, but inside a container they cannot be read: "
            f"{(report.nvml.message or report.nvml.outcome).rstrip('.')}."
        )
    if not on_host:
        return report.boards
    inside = {gpu.uuid for gpu in report.gpus}
    missing = [gpu for gpu in on_host if gpu.uuid not in inside]
    if missing:
        raise _refused(f"GPU {missing[0]} of this machine is not to be seen inside a container.")
    return list(on_host)
