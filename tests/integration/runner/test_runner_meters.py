"""The real runner with each `energy.backend` on simulated boards: whose joules a result holds, and why."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from llem_process import llem
from runner_process import error, order, result, run, start, wait_for_phase
from simulated_nvml import Board, Settings, a100, h100
from simulated_nvml.fixtures import SimulatedNvml

from llem_runner.contract import EXIT_CODE_OF, ExperimentResult, FailureKind

BOARD = h100(0, idle_w=200.0, power=())
WINDOW_S = 2.0


def measured(exchange: Path, nvml: SimulatedNvml, backend: str, board: Board = BOARD) -> ExperimentResult:
    smi = exchange / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\nexit 0\n")
    smi.chmod(0o755)
    nvml.write(Settings(boards=(board,)))
    energy = {"backend": backend, "min_window_seconds": WINDOW_S}
    order(exchange, {"baseline": {"duration_seconds": 1}, "energy": energy}, gpu_uuids=[board.uuid])
    path = f"{smi.parent}:/usr/bin:/bin"
    assert run(exchange, **{**nvml.env, "CUDA_VISIBLE_DEVICES": board.uuid, "PATH": path}) == 0
    return result(exchange)


@pytest.mark.parametrize("tool", ["zeus", "codecarbon"])
def test_claim_7_14_a_tools_joules_are_the_windows_without_bounds_and_say_whose_they_are(
    exchange: Path, simulated_nvml: SimulatedNvml, tool: str
) -> None:
    if find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    done = measured(exchange, simulated_nvml, tool)
    energy = done.energy
    assert energy.source == tool
    # Two edges, a step of 100 ms at each, and the time that words between processes take on a busy machine.
    assert energy.total_j == pytest.approx(200.0 * done.window.duration_s, abs=200.0 * 0.5)
    assert (energy.method, energy.lower_j, energy.upper_j, energy.lag_ms, energy.cross_check_j) == (None,) * 5
    assert energy.systematic_percent == 5.0
    assert energy.per_output_token_j == pytest.approx(energy.total_j / done.tokens.output)
    [device] = energy.devices
    assert device.total_j == energy.total_j
    # The powers at rest, and all that is no energy, are the recorder's.
    assert energy.idle_power_w == pytest.approx(200.0, rel=0.02)
    assert energy.adjusted_j == pytest.approx(max(0.0, energy.total_j - energy.idle_power_w * done.window.duration_s))
    assert done.thermal.start_c == 40
    assert done.recorder is not None
    assert {phase.energy_j for phase in done.phases} == {one.energy_j for one in done.passes} == {None}
    assert done.quality.level == "C"
    told = {warning.code: warning.message for warning in done.warnings}
    assert {"bounds_unknown", "pass_energy_unknown", "phase_energy_unknown"} <= set(told)
    assert "bounds_not_proven" not in told
    assert done.environment["meter"] == {"asked": tool, "used": tool, "why": "it was asked for by name"}
    assert tool in done.environment["packages"]


def test_claim_7_14_auto_takes_nvml_where_it_can_be_read_and_says_why(
    exchange: Path, simulated_nvml: SimulatedNvml
) -> None:
    done = measured(exchange, simulated_nvml, "auto")
    assert (done.energy.source, done.energy.method) == ("nvml", "counter")
    meter = done.environment["meter"]
    assert (meter["asked"], meter["used"]) == ("auto", "nvml")
    assert "with bounds" in meter["why"]


@pytest.mark.parametrize("asked", ["auto", "codecarbon"])
def test_claim_7_14_without_a_gpu_no_energy_is_made_up_and_the_reason_is_told(exchange: Path, asked: str) -> None:
    order(exchange, {"energy": {"backend": asked, "min_window_seconds": 0}})
    assert run(exchange) == 0
    done = result(exchange)
    assert (done.energy.source, done.energy.total_j, done.quality.level) == ("none", None, "D")
    assert done.environment["meter"] == {"asked": asked, "used": "none", "why": "no GPU was allocated to this run"}
    assert [warning for warning in done.warnings if warning.code == "energy_not_measured"]


@pytest.mark.parametrize("asked", ["nvml", "zeus"])
def test_claim_7_14_a_meter_that_was_asked_for_by_name_and_has_nothing_to_read_ends_the_run(
    exchange: Path, asked: str
) -> None:
    order(exchange, {"energy": {"backend": asked}})
    assert run(exchange) == 3
    report = error(exchange)
    assert report["kind"] == "backend"
    assert f"energy.backend: {asked} was asked for, but no GPU was allocated" in report["message"]


@pytest.mark.skipif(find_spec("zeus") is None, reason="zeus is not installed")
def test_claim_7_14_no_tool_gives_energy_of_a_part_of_a_board(exchange: Path, simulated_nvml: SimulatedNvml) -> None:
    done = measured(exchange, simulated_nvml, "zeus", a100(0, mig=True))
    assert (done.energy.source, done.energy.total_j) == ("zeus", None)
    [refused] = [warning.message for warning in done.warnings if warning.code == "energy_refused"]
    assert "MIG is on" in refused
    assert done.quality.level == "D"


def test_claim_7_3_a_counter_that_is_reset_ends_the_run_at_once_as_gpu_lost_and_its_timeline_can_be_read(
    exchange: Path, simulated_nvml: SimulatedNvml
) -> None:
    simulated_nvml.write(Settings(boards=(BOARD,)))
    order(
        exchange,
        {"baseline": {"enabled": False}, "energy": {"min_window_seconds": 600}},
        gpu_uuids=[BOARD.uuid],
    )
    with start(exchange, **{**simulated_nvml.env, "CUDA_VISIBLE_DEVICES": BOARD.uuid}) as process:
        try:
            wait_for_phase(exchange, "measure")
            begun_unix_s = time.time()
            simulated_nvml.write(Settings(boards=(replace(BOARD, counter_reset_at_unix_s=begun_unix_s + 1),)))
            assert process.wait(120) == EXIT_CODE_OF[FailureKind.GPU_LOST]
        finally:
            process.kill()
    report = error(exchange)
    assert (report["kind"], report["phase"]) == ("gpu_lost", "measure")
    assert f"GPU {BOARD.uuid}: the energy counter went backwards" in report["message"]
    # The readings until then still give their energy, by either clock.
    (exchange / "spans.csv").write_text(f"start_unix_s,end_unix_s\n{begun_unix_s - 2},{begun_unix_s + 0.5}\n")
    said = llem("energy", "out/power.csv", "--spans", "spans.csv", "--json", cwd=exchange)
    [span] = json.loads(said.stdout)
    assert span["lower_j"] <= 200.0 * 2.5 <= span["upper_j"]
