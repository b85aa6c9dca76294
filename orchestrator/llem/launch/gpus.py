"""The GPUs of this host, by NVML: the one place where the host touches it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from llem.errors import NotReadyError
from llem.launch.gpu_facts import Driver, GpuMemory, cuda_version
from llem_runner.contract import ExperimentConfig
from llem_runner.power.boards import is_simulated
from llem_runner.power.visible import PhysicalBoard, visible_uuids

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Gpu:
    """One board. `index` is NVML's, as `nvidia-smi` shows it: for people, and for the study files that they write."""

    uuid: str
    name: str
    pci_bus_id: str
    index: int
    simulated: bool = False

    def __str__(self) -> str:
        return f"{self.index} {self.name} ({self.uuid})"


@dataclass(frozen=True)
class Installed:
    """All boards of a machine, in NVML's order: those that answer, and the indices of those that do not (lost)."""

    gpus: tuple[Gpu, ...] = ()
    lost: tuple[int, ...] = ()


def installed_gpus(environment: Mapping[str, str] = os.environ) -> Installed:
    """All boards, whatever CUDA_VISIBLE_DEVICES says; none where no driver is installed.

    Raises NotReadyError where a driver is there and does not answer: a study that silently ran on the CPU instead would
    be worth nothing.
    """
    import pynvml

    gpus: list[Gpu] = []
    lost: list[int] = []
    try:
        with _opened(pynvml):
            for index in range(pynvml.nvmlDeviceGetCount()):
                try:
                    gpus.append(_describe(pynvml, index, environment))
                except (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_ResetRequired):
                    lost.append(index)
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return Installed()
    except pynvml.NVMLError as error:
        raise NotReadyError(
            f"An NVIDIA driver is installed but its GPUs cannot be listed: {error}. "
            "`nvidia-smi` should show the same error; after a driver update the machine needs a reboot."
        ) from error
    return Installed(tuple(gpus), tuple(lost))


def visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> list[Gpu]:
    """What an inherited CUDA_VISIBLE_DEVICES leaves of all boards `gpus`, in the order it says; else in PCI order.

    Raises NotReadyError where it names a part of a board (MIG).
    """
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    boards = [PhysicalBoard(gpu.uuid, gpu.pci_bus_id) for gpu in gpus]
    chosen = visible_uuids(environment.get("CUDA_VISIBLE_DEVICES"), boards)
    parts = [uuid for uuid in chosen if uuid not in by_uuid]
    if parts:
        raise NotReadyError(
            f"CUDA_VISIBLE_DEVICES names {parts[0]}, a part of a GPU (MIG). A reading of energy is the whole board's: "
            "what a part of it used cannot be measured. Switch MIG off, or give llem a whole GPU."
        )
    return [by_uuid[uuid] for uuid in chosen]


def driver_installed(root: Path = Path("/")) -> bool:
    """Whether this machine has an NVIDIA driver, working or not; `root` is where its files are looked for.

    Its kernel module, or WSL's door to the driver of Windows, or an NVML that knows of one.
    """
    module = root / "proc/driver/nvidia/version"
    windows = (root / "dev/dxg", root / "usr/lib/wsl/lib/libnvidia-ml.so.1")
    return module.exists() or all(path.exists() for path in windows) or _nvml_knows_a_driver()


def memory_used(uuids: Sequence[str]) -> dict[str, int | None]:
    """Memory in use on each GPU, in bytes; None where it cannot be read: the board, NVML or this reading is not there.

    What the driver reserves for itself counts, as in the readings of the runner.
    """
    return _ask(uuids, lambda pynvml, handle: int(pynvml.nvmlDeviceGetMemoryInfo(handle).used))


def memory_of(uuids: Sequence[str]) -> dict[str, GpuMemory]:
    """The memory of each GPU, without those that do not tell."""

    def memory(pynvml: Any, handle: Any) -> GpuMemory:
        info = pynvml.nvmlDeviceGetMemoryInfo(handle)
        # Only the second version of the call tells apart what the driver keeps; older drivers do not know it.
        with suppress(pynvml.NVMLError):
            info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
        return GpuMemory(int(info.total), int(info.used))

    return {uuid: found for uuid, found in _ask(uuids, memory).items() if found is not None}


def driver() -> Driver:
    """The driver of this machine, as far as NVML tells."""
    import pynvml

    version: str | None = None
    cuda: str | None = None
    nvml: str | None = None
    with suppress(pynvml.NVMLError), _opened(pynvml):
        version, nvml = pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetNVMLVersion()
        number = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        cuda = f"{number // 1000}.{number % 1000 // 10}"
    return Driver(version, cuda_version(cuda), nvml)


def cuda_major() -> int | None:
    """The newest major version of CUDA that this machine's driver knows; None without one, or where it does not say."""
    cuda = driver().cuda
    return cuda[0] if cuda else None


def compute_processes(uuids: Sequence[str]) -> dict[str, int | None]:
    """How many processes compute on each GPU; None where NVML does not tell."""
    return _ask(uuids, lambda pynvml, handle: len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)))


def compute_pids(uuids: Sequence[str]) -> dict[str, frozenset[int] | None]:
    """The processes that compute on each GPU, by the machine's ids; None where NVML does not tell."""
    return _ask(
        uuids,
        lambda pynvml, handle: frozenset(
            int(process.pid) for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ),
    )


def temperatures(uuids: Sequence[str]) -> dict[str, float | None]:
    """The temperature of each GPU, in °C; None where NVML does not tell."""
    return _ask(
        uuids,
        lambda pynvml, handle: float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
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


@contextmanager
def _opened(pynvml: Any) -> Iterator[None]:
    pynvml.nvmlInit()
    try:
        yield
    finally:
        # A library whose boards are gone may refuse even this; there is nothing left to let go of then.
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _describe(pynvml: Any, index: int, environment: Mapping[str, str]) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name = pynvml.nvmlDeviceGetName(handle)
    return Gpu(
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        name=name,
        pci_bus_id=pynvml.nvmlDeviceGetPciInfo(handle).busId,
        index=index,
        simulated=is_simulated(name, environment),
    )


def _nvml_knows_a_driver() -> bool:
    import pynvml

    try:
        with _opened(pynvml):
            return True
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return False
    except pynvml.NVMLError:
        # Whatever is wrong with it, it is there.
        return True


def _ask(uuids: Sequence[str], question: Callable[[Any, Any], Answer]) -> dict[str, Answer | None]:
    import pynvml

    answers: dict[str, Answer | None] = dict.fromkeys(uuids)
    with suppress(pynvml.NVMLError), _opened(pynvml):
        for uuid in uuids:
            with suppress(pynvml.NVMLError):
                answers[uuid] = question(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))
    return answers
