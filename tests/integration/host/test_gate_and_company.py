"""The thermal gate and the look at who else is on a GPU, with the host's real NVML calls on the simulated library.

The runs are played by a launcher of the tests; loop, gate, looks and results are the real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import results_factory
import simulated_nvml as simulated_package
from simulated_nvml.fixtures import SimulatedNvml

# argv: the folder. pynvml loads its library once per process, so a study is a process of its own. A board of its own,
# too: its lease is then nobody else's.
STUDY = """
import dataclasses, json, os, sys
from pathlib import Path
from scripted_launcher import ScriptedLauncher, valid_result, write_out
from simulated_nvml import Fault, Process, Settings, h100
from simulated_nvml.settings import replace_text
from llem.ended import Ended
from llem.execution.observer import Observer
from llem.execution.start import start_study
from llem.study import parse_study
from llem_runner.metrics.quality import B_CHECKS

folder, config, plan = Path(sys.argv[1]), Path(os.environ["LLEM_TEST_NVML_CONFIG"]), json.loads(sys.argv[2])
board = dataclasses.replace(h100(0), uuid="GPU-5a7e5a7e-0000-4000-8000-" + os.urandom(6).hex())
notices, started = [], []

def put(temperature_c, pids=(), faults=()):
    here = dataclasses.replace(
        board,
        temperature_c=temperature_c,
        processes=tuple(Process(os.getpid() if pid == "ours" else pid, 1 << 30) for pid in pids),
        faults=tuple(Fault(*words) for words in faults),
    )
    replace_text(config, Settings(boards=(here,)).text())

class Watching(Observer):
    def notice(self, message):
        notices.append(message)
        if "waiting at most" in message:
            put(plan["then_c"])

def script(attempt):
    run = plan["runs"][len(started)]
    started.append(attempt.run_id)
    put(run["temperature_c"], run.get("pids", ()), plan.get("faults", ()))
    events = [{"t": 0, "event": "phase", "name": name} for name in ("idle", "load", "measure", "drain")]
    write_out(attempt, "events.jsonl", "".join(json.dumps(event) + "\\n" for event in events))
    checks = [{"name": name, "passed": name != "foreign_processes" or None} for name in B_CHECKS]
    write_out(attempt, "result.json", valid_result(attempt, {"quality": {"level": "C", "checks": checks}}))
    return Ended(0)

put(40, (), plan.get("faults", ()))
text = plan["study"] + f"\\noutput: {{folder: {folder / 'results'}}}\\n"
study = parse_study("model: builtin:tiny-llama\\nn: 3\\n" + text, source=folder / "s.yaml")
launcher = ScriptedLauncher(script, gpus=(board.uuid,), own_pids=frozenset({os.getpid()}))
end = start_study(study, Watching(), launcher)
runs = sorted(end.folder.glob("runs/*"))
print(json.dumps({
    "uuid": board.uuid,
    "notices": [notice for notice in notices if "Thermal gate" in notice],
    "launches": [json.loads((run / "launch.json").read_text()) for run in runs],
    "results": [json.loads((run / "result.json").read_text()) for run in runs],
}))
"""


def played(tmp_path: Path, nvml: SimulatedNvml, **plan: Any) -> Any:
    inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    packages = [Path(simulated_package.__file__).parent.parent, Path(results_factory.__file__).parent]
    path = os.pathsep.join([*map(str, packages), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", STUDY, str(tmp_path), json.dumps(plan)],
        env={**inherited, **nvml.env, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_claim_8_2_a_run_waits_at_the_gate_until_its_gpu_has_cooled_down(
    tmp_path: Path, simulated_nvml: SimulatedNvml
) -> None:
    seen = played(
        tmp_path,
        simulated_nvml,
        study="execution: {n_cycles: 2, gate: {band_c: 3, max_wait_seconds: 60}}",
        runs=[{"temperature_c": 61}, {"temperature_c": 42}],
        then_c=42,
    )
    first, second = (launch["gate"] for launch in seen["launches"])
    assert (first["reached"], first["waited_s"]) == (True, pytest.approx(0, abs=0.5))
    assert second["reached"] is True
    assert second["waited_s"] >= 0.9
    assert second["gpus"] == {seen["uuid"]: {"idle_c": 40, "start_c": 42}}
    [notice] = seen["notices"]
    assert f"GPU {seen['uuid']} is at 61 °C, 21 °C above its idle temperature" in notice
    assert [result["environment"]["launch"]["gate"] for result in seen["results"]] == [first, second]


def test_claim_8_2_a_board_that_does_not_tell_its_temperature_is_not_waited_for(
    tmp_path: Path, simulated_nvml: SimulatedNvml
) -> None:
    seen = played(
        tmp_path,
        simulated_nvml,
        study="execution: {n_cycles: 2, gate: {band_c: 3, max_wait_seconds: 60}}",
        faults=[["temperature", "NOT_SUPPORTED"]],
        runs=[{"temperature_c": 40}, {"temperature_c": 40}],
    )
    assert [launch["gate"]["reached"] for launch in seen["launches"]] == [None, None]
    assert [launch["gate"]["gpus"][seen["uuid"]]["start_c"] for launch in seen["launches"]] == [None, None]
    assert len(seen["notices"]) == 1


def test_claim_8_8_the_host_finds_strangers_by_their_process_ids_and_knows_when_it_cannot(
    tmp_path: Path, simulated_nvml: SimulatedNvml
) -> None:
    on_gpu: list[list[Any]] = [["ours"], ["ours", 4711, 4712], [4711]]
    seen = played(
        tmp_path,
        simulated_nvml,
        study="execution: {n_cycles: 3}",
        runs=[{"temperature_c": 40, "pids": pids} for pids in on_gpu],
    )
    checks = [
        next(check for check in result["quality"]["checks"] if check["name"] == "foreign_processes")
        for result in seen["results"]
    ]
    assert [(check["passed"], check["value"]) for check in checks] == [(True, 0), (False, 2), (None, None)]
    assert [result["quality"]["level"] for result in seen["results"]] == ["B", "C", "C"]
    assert [[warning["code"] for warning in result["warnings"]] for result in seen["results"]] == [
        [],
        ["foreign_processes"],
        [],
    ]
