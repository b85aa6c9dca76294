"""What `python3 -m llem_runner probe` says of the place where it ran. Pure.

It comes from a container, that is from a stranger: nothing is believed that does not look as it must.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from llem.launch.gpu_facts import Driver, GpuMemory, cuda_version
from llem.launch.gpus import Gpu
from llem.launch.strangers_json import Version, printable_only, read_record
from llem_runner.contract.strict import Record

# NVML's own buffers for a UUID and a name hold 96 characters.
_UUID = Field(max_length=96, pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")
_PCI_BUS_ID = Field(max_length=32, pattern=r"^[0-9A-Fa-f:.]+$")
_MOST_GPUS = 256


class _Strict(Record):
    model_config = ConfigDict(strict=True)


class ProbedGpu(_Strict):
    """One board as the probe describes it; None for what cannot be read.

    What the driver keeps for itself, `memory_reserved_bytes`, is part of `memory_used_bytes`.
    """

    uuid: Annotated[str, _UUID]
    index: int = Field(ge=0, lt=_MOST_GPUS)
    name: Annotated[str, Field(min_length=1, max_length=96), AfterValidator(printable_only)]
    pci_bus_id: Annotated[str, _PCI_BUS_ID]
    simulated: bool
    memory_used_bytes: int | None = Field(ge=0, lt=2**60)
    memory_reserved_bytes: int | None = Field(default=None, ge=0, lt=2**60)
    memory_total_bytes: int | None = Field(default=None, ge=0, lt=2**60)
    driver: Version | None = None
    cuda_driver: Version | None = None
    """The newest CUDA that the driver can do."""


class ProbedNvml(_Strict):
    """What became of NVML: "ok", "gpu_lost" (the boards that still answer are listed), or why it cannot be used."""

    outcome: Annotated[str, Field(max_length=64, pattern=r"^[a-z_]+$")]
    message: Annotated[str, Field(max_length=2000), AfterValidator(printable_only)] | None


class ProbedEngines(_Strict):
    """Versions of the inference engines' packages; None for one that is not installed."""

    torch: Version | None = None
    transformers: Version | None = None
    vllm: Version | None = None


class ProbeReport(_Strict):
    """All that the probe says."""

    nvml: ProbedNvml
    gpus: Annotated[tuple[ProbedGpu, ...], Field(strict=False, max_length=_MOST_GPUS)]
    python: Version
    pydantic: Version
    contract_version: int
    engines: ProbedEngines

    @model_validator(mode="after")
    def _each_once(self) -> ProbeReport:
        for names in ([gpu.uuid.lower() for gpu in self.gpus], [gpu.index for gpu in self.gpus]):
            if len(set(names)) < len(names):
                raise ValueError("two GPUs have the same UUID or the same index")
        return self

    @property
    def boards(self) -> list[Gpu]:
        """The boards, in NVML's order."""
        found = [Gpu(gpu.uuid, gpu.name, gpu.pci_bus_id, gpu.index, gpu.simulated) for gpu in self.gpus]
        return sorted(found, key=lambda gpu: gpu.index)

    @property
    def memory_used(self) -> dict[str, int | None]:
        """Memory in use by UUID, in bytes; None where it cannot be read. A board that is lost is missing."""
        return {gpu.uuid: gpu.memory_used_bytes for gpu in self.gpus}

    @property
    def memory(self) -> dict[str, GpuMemory]:
        """The memory of the boards that tell, by UUID."""
        return {
            gpu.uuid: GpuMemory(
                gpu.memory_total_bytes, max(0, gpu.memory_used_bytes - (gpu.memory_reserved_bytes or 0))
            )
            for gpu in self.gpus
            if gpu.memory_total_bytes is not None and gpu.memory_used_bytes is not None
        }

    @property
    def driver(self) -> Driver:
        """The driver, as the first board tells it: all have the same."""
        return next((Driver(gpu.driver, cuda_version(gpu.cuda_driver)) for gpu in self.gpus), Driver())


def read_probe(record: Any) -> ProbeReport:
    """The probe's JSON value, checked. Raises ValueError with the reason where it is not what a probe prints."""
    return read_record(ProbeReport, record)
