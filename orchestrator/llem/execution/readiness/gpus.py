"""The GPUs that runs will get: enough of them, nobody else's, and with a driver that is new enough."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from llem.checklist import GPUS, Checklist
from llem.execution.readiness.needs import Needs
from llem.launch.gpu_facts import GpuFacts, GpuMemory, runs_on
from llem.launch.gpu_lease import is_leased
from llem.launch.gpus import compute_processes, gpus_needed
from llem.launch.protocol import Place

IN_USE = "GPU memory in use"

_GIB = 2**30
_NEGLIGIBLE_BYTES = 256 << 20
"""What a driver may keep after the last process has left."""
_MUCH = 0.1
"""The part of a board's memory that others may have: vLLM takes nine tenths unless it is told otherwise."""
SKIP = "To run all the same: execution.skip_preflight: true."


def check_count(needs: Needs, places: Sequence[Place], checklist: Checklist) -> None:
    """Whether there are as many GPUs of one model as an experiment asks for."""
    largest = max((place.gpu_uuids for place in places), key=len)
    needed = {key: gpus_needed(config, largest) for key, config in needs.on_gpus.items()}
    too_many = [key for key, count in needed.items() if count > len(largest)]
    if not too_many:
        return
    note = checklist.fail if len(too_many) == len(needs.experiments) else checklist.warn
    most = max(needed[key] for key in too_many)
    note(
        GPUS,
        f"{experiments(too_many)}: {most} GPUs of one model are needed, and {len(largest)} are there for this study.",
        "Lower vllm.engine.tensor_parallel_size or pipeline_parallel_size, or name more in execution.gpus.",
    )


def check_in_use(
    places: Sequence[Place],
    memory: Mapping[str, GpuMemory],
    draining: Collection[str],
    checklist: Checklist,
    leased: Callable[[str], bool] = is_leased,
    processes: Callable[[Sequence[str]], Mapping[str, int | None]] = compute_processes,
) -> None:
    """Whether somebody else is on the GPUs. One of another llem is waited for; those `draining` are our own runs'."""
    known = {uuid: place.gpu_model for place in places for uuid in place.gpu_uuids if uuid in memory}
    used = [
        uuid
        for uuid in known
        if uuid not in draining and memory[uuid].used_bytes > _NEGLIGIBLE_BYTES and not leased(uuid)
    ]
    free = ", ".join(uuid for uuid in known if uuid not in used)
    counts = processes(used) if used else {}
    for uuid in used:
        board = memory[uuid]
        note = checklist.fail if board.used_bytes > _MUCH * board.total_bytes else checklist.warn
        note(
            IN_USE,
            f"GPU {uuid} ({known[uuid]}): {board.used_bytes / _GIB:.1f} of {board.total_bytes / _GIB:.1f} GiB are in "
            f"use{_by(counts.get(uuid))}. What that draws would be measured as ours.",
            f"End it (nvidia-smi), or leave that GPU out (execution.gpus: {f'[{free}]' if free else 'others'}). {SKIP}",
        )
    if known and not used:
        checklist.ok(IN_USE, "none by others")


def check_driver(needs: Needs, facts: GpuFacts, checklist: Checklist) -> None:
    """Whether the driver can do the CUDA that each backend was built for."""
    version = facts.driver.version or "here"
    for backend in dict.fromkeys(config.backend for config in needs.on_gpus.values()):
        check, needed = f"driver for {backend}", facts.cuda_needed.get(backend)
        if facts.driver.cuda is None or needed is None:
            what = "the driver can do" if needed else "it was built for"
            checklist.skip(check, f"as nothing says which CUDA {what}")
            continue
        ours, theirs = (f"{major}.{minor}" for major, minor in (facts.driver.cuda, needed))
        if runs_on(facts.driver.cuda, needed):
            checklist.ok(check, f"CUDA {theirs} on a driver for {ours}")
        else:
            checklist.fail(
                check,
                f"It was built for CUDA {theirs}, and NVIDIA's driver {version} can do {ours} at most.",
                f"Update the driver, or use an image that was built for CUDA {facts.driver.cuda[0]}.",
            )


def experiments(ids: Sequence[str]) -> str:
    """Experiments by their ids, not endless."""
    shown = ", ".join(ids[:3])
    return (
        f"experiment {shown}" if len(ids) == 1 else f"{len(ids)} experiments ({shown}{', …' if len(ids) > 3 else ''})"
    )


def _by(processes: int | None) -> str:
    if not processes:
        return ""
    return f" by {processes} {'process' if processes == 1 else 'processes'}"
