from __future__ import annotations

import copy
import json
import os
from typing import Any

import pytest

from llem.launch.gpu_probe import read_probe
from llem.launch.gpus import Gpu
from llem_runner.probe import probe

RECORD: dict[str, Any] = {
    "nvml": {"outcome": "ok", "message": None},
    "gpus": [
        {
            "uuid": "GPU-b", "index": 1, "name": "NVIDIA H100", "pci_bus_id": "00000000:11:00.0",
            "simulated": False, "memory_used_bytes": None, "readings": ["counter_mj"],
        },
        {
            "uuid": "GPU-a", "index": 0, "name": "NVIDIA A100", "pci_bus_id": "00000000:10:00.0",
            "simulated": True, "memory_used_bytes": 5, "readings": [],
        },
    ],
    "python": "3.12.3",
    "pydantic": "2.11.0",
    "contract_version": 1,
    "engines": {"torch": "2.13.0+cpu"},
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    """The record with the value at `path` replaced, or taken away where it is `...`."""
    record = copy.deepcopy(RECORD)
    *folders, last = [int(name) if name.isdigit() else name for name in path.split(".")]
    inner: Any = record
    for name in folders:
        inner = inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return record


def test_claim_6_5_the_gpus_that_a_probe_in_a_container_saw_are_told_in_nvmls_order() -> None:
    report = read_probe(RECORD)
    assert report.boards == [
        Gpu("GPU-a", "NVIDIA A100", "00000000:10:00.0", 0, simulated=True),
        Gpu("GPU-b", "NVIDIA H100", "00000000:11:00.0", 1, simulated=False),
    ]
    assert report.memory_used == {"GPU-a": 5, "GPU-b": None}
    assert (report.nvml.outcome, report.nvml.message) == ("ok", None)
    assert (report.engines.torch, report.engines.vllm) == ("2.13.0+cpu", None)


def test_claim_6_5_what_the_runners_probe_prints_here_is_accepted() -> None:
    printed = probe(os.environ)
    report = read_probe(json.loads(json.dumps(printed)))
    assert report.python == printed["python"]
    assert report.nvml.outcome == printed["nvml"]["outcome"]
    assert len(report.gpus) == len(printed["gpus"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nvml", ...),
        ("gpus", ...),
        ("contract_version", "1"),
        ("contract_version", True),
        ("python", "3.12\x1b[31m"),
        ("pydantic", "x" * 65),
        ("engines.torch", 2.5),
        ("nvml.outcome", "OK; all is well"),
        ("nvml.message", "line\nline"),
        ("nvml.message", "m" * 2001),
        ("gpus", {"0": {}}),
        ("gpus", [RECORD["gpus"][0]] * 300),
        ("gpus.0.uuid", ""),
        ("gpus.0.uuid", "GPU-b\n"),
        ("gpus.0.uuid", "../../etc/passwd"),
        ("gpus.0.uuid", "--privileged"),
        ("gpus.0.uuid", "G" * 97),
        ("gpus.0.uuid", "gpu-A"),
        ("gpus.0.index", 0),
        ("gpus.0.index", -1),
        ("gpus.0.index", "1"),
        ("gpus.0.index", 10**30),
        ("gpus.0.name", "\x1b]0;title\x07"),
        ("gpus.0.name", "n" * 97),
        ("gpus.0.pci_bus_id", "all"),
        ("gpus.0.simulated", "yes"),
        ("gpus.0.memory_used_bytes", -1),
        ("gpus.0.memory_used_bytes", 1e400),
        ("gpus.0.memory_used_bytes", ...),
    ],
)
def test_claim_6_13_a_probe_that_a_stranger_could_have_written_is_refused_without_repeating_it(
    path: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=r".+") as raised:
        read_probe(changed(path, value))
    message = str(raised.value)
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize("record", [None, [], "gpus", 1, {}], ids=str)
def test_claim_6_13_something_else_than_a_probes_answer_is_refused(record: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_probe(record)
