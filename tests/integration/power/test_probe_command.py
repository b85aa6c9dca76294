"""`python3 -m llem_runner probe` on the simulated library."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib import metadata

from simulated_nvml import Fault, Settings, a100, h100
from simulated_nvml.fixtures import SimulatedNvml

from llem.launch.gpu_probe import ProbeReport, read_probe
from llem_runner.contract import CONTRACT_VERSION


def probed(nvml: SimulatedNvml, settings: Settings) -> ProbeReport:
    nvml.write(settings)
    command = [sys.executable, "-m", "llem_runner", "probe"]
    done = subprocess.run(command, env={**os.environ, **nvml.env}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return read_probe(json.loads(done.stdout))


def test_claim_6_5_the_probe_tells_gpus_memory_and_packages(simulated_nvml: SimulatedNvml) -> None:
    silent = a100(1).with_faults(Fault("memory", "NOT_SUPPORTED"))
    report = probed(simulated_nvml, Settings(boards=(h100(0, memory_used_bytes=2**30), silent)))
    assert report.nvml.outcome == "ok"
    assert [(gpu.index, gpu.uuid, gpu.simulated) for gpu in report.boards] == [
        (0, h100(0).uuid, True),
        (1, a100(1).uuid, True),
    ]
    assert report.memory_used == {h100(0).uuid: 1.5 * 2**30, a100(1).uuid: None}
    assert report.python == platform.python_version()
    assert report.pydantic == metadata.version("pydantic")
    assert report.contract_version == CONTRACT_VERSION
    assert report.engines.transformers == metadata.version("transformers")


def test_claim_6_12_the_probe_tells_that_a_gpu_is_lost_and_what_the_others_use(simulated_nvml: SimulatedNvml) -> None:
    report = probed(simulated_nvml, Settings(boards=(h100(0).lost(), a100(1))))
    assert report.nvml.outcome == "gpu_lost"
    assert report.nvml.message is not None
    assert report.memory_used == {a100(1).uuid: 2**29}


def test_claim_6_13_the_probe_names_what_is_wrong_with_nvml(simulated_nvml: SimulatedNvml) -> None:
    report = probed(simulated_nvml, Settings(boards=(h100(0),), faults=(Fault("init", "LIB_RM_VERSION_MISMATCH"),)))
    assert (report.nvml.outcome, report.boards) == ("version_mismatch", [])
