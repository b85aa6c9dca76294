"""Where the model computes. Pure: what the engine can see comes in as arguments."""

from __future__ import annotations

from typing import Literal

from llem_runner.contract import FailureKind, RunFailed


def choose_device(
    requested: Literal["auto", "cuda", "cpu"],
    gpu_count: int,
    cuda_count: int,
    engine_build: str,
    simulated: bool,
) -> str:
    """`cuda:0` or `cpu`, for `gpu_count` allocated GPUs of which `engine_build` can use `cuda_count`.

    A real GPU that was allocated and then not computed on would be measured idle: that is an error, never a result.
    Only simulated boards are exempt. Raises `RunFailed` of kind backend.
    """
    if requested == "cuda" and gpu_count == 0:
        raise _unusable("The experiment asks for device: cuda, but no GPU was allocated to this run.")
    if requested == "cpu" and gpu_count > 0 and not simulated:
        raise _unusable(
            f"{_gpus(gpu_count)} allocated, but the experiment asks for device: cpu: its energy would be that of an "
            "idle GPU. Use device: auto, or run without a GPU."
        )
    if requested == "cpu" or gpu_count == 0:
        return "cpu"
    if cuda_count >= gpu_count:
        return "cuda:0"
    if simulated and requested == "auto":
        return "cpu"
    raise _unusable(
        f"{_gpus(gpu_count)} allocated, but {engine_build} can use {cuda_count}: it would compute on the CPU "
        "beside an idle GPU. Install a CUDA build that fits the driver, or run with device: cpu and no GPU."
    )


def check_placement(device: str, used: set[str], gpu_count: int) -> None:
    """Raises `RunFailed` of kind backend where a GPU was chosen and not every allocated GPU holds parameters.

    `used` are the devices that hold any. A GPU that computes nothing would be measured idle and added to the others;
    simulated ones are not counted in `gpu_count`.
    """
    if not device.startswith("cuda"):
        return
    gpus = sorted(name for name in used if name.startswith("cuda"))
    if not gpus:
        raise _unusable(
            f"The model was to compute on {device}, but all of it lies on {', '.join(sorted(used))}. "
            "Check pytorch.device_map and pytorch.max_memory."
        )
    if len(gpus) < gpu_count:
        raise _unusable(
            f"{_gpus(gpu_count)} allocated, but the model lies on {len(gpus)} of them ({', '.join(gpus)}): the others "
            "would be measured idle. Spread it (pytorch.device_map: balanced), or run with fewer GPUs."
        )


def _gpus(count: int) -> str:
    return "1 GPU was" if count == 1 else f"{count} GPUs were"


def _unusable(message: str) -> RunFailed:
    return RunFailed(FailureKind.BACKEND, message)
