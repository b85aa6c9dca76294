"""Which GPUs containers may have: the engine's answers, the host's driver, and what is seen inside, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from llem.launch.docker.engine import EngineFacts
from llem.launch.docker.faults import kind_of, refused
from llem.launch.docker.gpu_access import gpu_access
from llem.launch.docker.request import Gpus
from llem.launch.gpu_probe import ProbeReport, read_probe
from llem.launch.gpus import Gpu
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

Setting = Literal["auto", "nvidia", "cdi"]

FIRST = Gpu("GPU-a", "NVIDIA H100", "00000000:10:00.0", 0)
SECOND = Gpu("GPU-b", "NVIDIA H100", "00000000:11:00.0", 1)
BOTH = ["GPU-a GPU-b"]
DOCKER = EngineFacts("Docker 20.10.24", 1 << 34)
DOCKER_WITH_CDI = EngineFacts("Docker 28.3.0", 1 << 34, cdi=True)
PODMAN = EngineFacts("Podman 5.4.0", 1 << 34, podman=True, cdi=True)

# As engines say it.
NO_DRIVER = 'could not select device driver "nvidia" with capabilities: [[gpu utility compute]]'
NO_CDI_DRIVER = 'could not select device driver "cdi" with capabilities: []'
NO_CDI_DEVICE = "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=all"
NO_PODMAN_DEVICE = "setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all"
BROKEN = (
    "OCI runtime create failed: error running hook #0: exit status 1, stderr: nvidia-container-cli: initialization "
    "error: nvml error: driver not loaded: unknown"
)


def report(*gpus: Gpu, outcome: str = "ok", message: str | None = None) -> ProbeReport:
    boards = [
        {
            "uuid": gpu.uuid, "index": gpu.index, "name": gpu.name, "pci_bus_id": gpu.pci_bus_id,
            "simulated": False, "memory_used_bytes": 0,
        }
        for gpu in gpus
    ]  # fmt: skip
    nvml = {"outcome": outcome, "message": message}
    versions = {"python": "3.12.3", "pydantic": "2.11.0", "contract_version": 1, "engines": {}}
    return read_probe({"nvml": nvml, "gpus": boards, **versions})


@dataclass
class Machine:
    """An engine that answers requests as told (by driver; None: without GPUs), on a host with or without a driver."""

    answers: Mapping[str | None, ProbeReport | str]
    driver: bool = False
    asked: list[Gpus | None] = field(default_factory=list)

    def look(self, gpus: Gpus | None) -> ProbeReport:
        self.asked.append(gpus)
        answer = self.answers[gpus.driver if gpus else None]
        if isinstance(answer, str):
            raise refused(kind_of(answer), "The container could not be started", answer)
        return answer

    def access(self, setting: Setting, facts: EngineFacts, on_host: list[Gpu]) -> Any:
        return gpu_access(self.look, setting, facts, on_host, lambda: self.driver)


@pytest.mark.parametrize(
    ("answers", "setting", "facts", "on_host", "there", "driver", "asked"),
    [
        ({"nvidia": report(FIRST, SECOND)}, "auto", DOCKER, [], [FIRST, SECOND], "nvidia", [None]),
        ({"nvidia": report(FIRST, SECOND)}, "auto", DOCKER, [FIRST, SECOND], [FIRST, SECOND], "nvidia", BOTH),
        ({"nvidia": report(FIRST)}, "auto", DOCKER_WITH_CDI, [], [FIRST], "nvidia", [None]),
        ({"nvidia": NO_DRIVER, "cdi": report(FIRST)}, "auto", DOCKER_WITH_CDI, [FIRST], [FIRST], "cdi", ["GPU-a"] * 2),
        ({"nvidia": BROKEN, "cdi": report(FIRST)}, "auto", DOCKER_WITH_CDI, [], [FIRST], "cdi", [None] * 2),
        ({"cdi": report(FIRST)}, "cdi", DOCKER_WITH_CDI, [], [FIRST], "cdi", [None]),
        ({"nvidia": report(FIRST)}, "nvidia", DOCKER_WITH_CDI, [], [FIRST], "nvidia", [None]),
        ({"cdi": report(FIRST)}, "auto", PODMAN, [], [FIRST], "cdi", [None]),
        ({"nvidia": report(FIRST, outcome="gpu_lost")}, "auto", DOCKER, [], [FIRST], "nvidia", [None]),
        ({"nvidia": report(outcome="no_devices")}, "auto", DOCKER, [], [], "nvidia", [None]),
    ],
    ids=[
        "accepted", "accepted, the host names them", "nvidia first", "cdi where nvidia is unknown",
        "cdi where nvidia is broken", "cdi by hand", "nvidia by hand", "podman", "one of them is lost", "no board",
    ],
)  # fmt: skip
def test_claim_6_5_an_accepted_request_gives_the_gpus_that_are_seen_inside(
    answers: Mapping[str | None, ProbeReport | str],
    setting: Setting,
    facts: EngineFacts,
    on_host: list[Gpu],
    there: list[Gpu],
    driver: str,
    asked: list[str | None],
) -> None:
    machine = Machine(answers)
    assert machine.access(setting, facts, on_host) == (there, driver)
    requests = [gpus for gpus in machine.asked if gpus]
    assert [" ".join(gpus.uuids) if gpus.uuids else None for gpus in requests] == asked


@pytest.mark.parametrize(
    ("answers", "facts"),
    [
        ({"nvidia": NO_DRIVER}, DOCKER),
        ({"nvidia": NO_DRIVER, "cdi": NO_CDI_DEVICE}, DOCKER_WITH_CDI),
        ({"nvidia": NO_DRIVER, "cdi": NO_CDI_DRIVER}, DOCKER_WITH_CDI),
        ({"cdi": NO_PODMAN_DEVICE}, PODMAN),
    ],
    ids=["docker", "docker with cdi", "docker with cdi switched off", "podman"],
)
def test_claim_6_5_an_engine_and_a_host_that_know_of_no_gpu_run_on_the_cpu(
    answers: dict[str | None, ProbeReport | str], facts: EngineFacts
) -> None:
    machine = Machine({**answers, None: report(outcome="library_not_found")})
    assert machine.access("auto", facts, [])[0] == []
    # It was looked at without GPUs, too: the image has to work.
    assert machine.asked[-1] is None


@pytest.mark.parametrize(
    ("answers", "facts", "setting", "driver"),
    [
        ({"nvidia": NO_DRIVER}, DOCKER, "auto", True),
        ({"nvidia": NO_DRIVER, "cdi": NO_CDI_DEVICE}, DOCKER_WITH_CDI, "auto", True),
        ({"cdi": NO_PODMAN_DEVICE}, PODMAN, "auto", True),
        ({"nvidia": BROKEN}, DOCKER, "auto", False),
        ({"nvidia": BROKEN}, DOCKER, "auto", True),
        ({"nvidia": BROKEN, "cdi": NO_CDI_DEVICE}, DOCKER_WITH_CDI, "auto", False),
        ({"nvidia": NO_DRIVER}, DOCKER, "nvidia", False),
        ({"cdi": NO_CDI_DRIVER}, DOCKER, "cdi", False),
        ({"cdi": NO_CDI_DEVICE}, DOCKER_WITH_CDI, "cdi", False),
        ({"nvidia": report(outcome="driver_not_loaded", message="no driver")}, DOCKER, "auto", False),
        ({"nvidia": report(outcome="library_not_found")}, DOCKER, "auto", False),
    ],
    ids=[
        "a driver on the host", "a driver on the host, cdi", "a driver on the host, podman", "broken, no driver",
        "broken, a driver", "broken, cdi unknown", "nvidia by hand", "cdi by hand, switched off",
        "cdi by hand, unknown", "accepted, and NVML cannot be read inside", "accepted, and no NVML inside",
    ],
)  # fmt: skip
def test_claim_6_5_any_other_refusal_is_told_and_never_a_silent_fallback_to_the_cpu(
    answers: Mapping[str | None, ProbeReport | str], facts: EngineFacts, setting: Setting, driver: bool
) -> None:
    machine = Machine(answers, driver)
    with pytest.raises(LaunchFailed) as refusal:
        machine.access(setting, facts, [])
    assert refusal.value.kind is FailureKind.GPU_REQUEST
    assert None not in machine.asked
    assert "device: cpu" in refusal.value.message


def test_claim_6_5_a_gpu_of_the_host_that_is_not_seen_inside_is_named() -> None:
    machine = Machine({"nvidia": report(FIRST)}, driver=True)
    with pytest.raises(LaunchFailed, match=r"GPU-b\) of this machine is not to be seen inside") as refusal:
        machine.access("auto", DOCKER, [FIRST, SECOND])
    assert refusal.value.kind is FailureKind.GPU_REQUEST


def test_claim_6_5_what_is_wrong_with_the_image_is_no_refusal_of_gpus() -> None:
    machine = Machine({"nvidia": 'exec: "python3": executable file not found in $PATH'}, driver=False)
    with pytest.raises(LaunchFailed) as refusal:
        machine.access("auto", DOCKER, [])
    assert refusal.value.kind is FailureKind.IMAGE_UNUSABLE
