"""The GPUs of this host, by NVML: the one place where the host touches it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llem.errors import NotReadyError
from llem_runner.contract import ExperimentConfig
from llem_runner.power.visible import PhysicalBoard, visible_uuids


@dataclass(frozen=True)
class Gpu:
    """One board."""

    uuid: str
    name: str
    pci_bus_id: str


def list_gpus(environment: Mapping[str, str] = os.environ) -> list[Gpu]:
    """Boards that this process may use, in PCI order; an inherited CUDA_VISIBLE_DEVICES is respected, order included.

    Empty where no driver is installed. Raises NotReadyError where a driver is there and does not answer: a study that
    silently ran on the CPU instead would be worth nothing.
    """
    gpus = {gpu.uuid: gpu for gpu in _all_gpus()}
    boards = [PhysicalBoard(gpu.uuid, gpu.pci_bus_id) for gpu in gpus.values()]
    chosen = visible_uuids(environment.get("CUDA_VISIBLE_DEVICES"), boards)
    parts = [uuid for uuid in chosen if uuid not in gpus]
    if parts:
        raise NotReadyError(
            f"CUDA_VISIBLE_DEVICES names {parts[0]}, a part of a GPU (MIG). A reading of energy is the whole board's: "
            "what a part of it used cannot be measured. Switch MIG off, or give llem a whole GPU."
        )
    return [gpus[uuid] for uuid in chosen]


def _all_gpus() -> list[Gpu]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return []
    except pynvml.NVMLError as error:
        raise NotReadyError(
            f"An NVIDIA driver is installed but NVML does not answer: {error}. "
            "`nvidia-smi` should show the same error; after a driver update the machine needs a reboot."
        ) from error
    try:
        return [_describe(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        raise NotReadyError(f"The GPUs of this machine cannot be listed: {error}. Does `nvidia-smi` work?") from error
    finally:
        pynvml.nvmlShutdown()


def _describe(pynvml: Any, index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        name=pynvml.nvmlDeviceGetName(handle),
        pci_bus_id=pynvml.nvmlDeviceGetPciInfo(handle).busId,
    )


def gpus_needed(config: ExperimentConfig, available: Sequence[str]) -> int:
    """How many of the `available` GPUs a run of `config` is given."""
    if config.device == "cpu" or not available:
        return 0
    if config.vllm is not None:
        engine = config.vllm.engine
        return (engine.tensor_parallel_size or 1) * (engine.pipeline_parallel_size or 1)
    if config.pytorch is not None and config.pytorch.device_map is not None:
        return len(available)
    return 1
