"""The real runner on two simulated boards: energies add up, the drain is long enough, strangers are told."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from runner_process import events, order, result, run
from simulated_nvml import Process, Settings, h100
from simulated_nvml.fixtures import SimulatedNvml
from simulated_nvml.shapes import Constant

from llem_runner.contract.events import PhaseEvent
from llem_runner.metrics.quality import B_CHECKS
from llem_runner.power.boards import board_facts
from llem_runner.workload.tiny_llama import make_tiny_llama

GIB = 2**30
STRANGER = replace(
    h100(1, idle_w=0.0, power=(Constant(watts=300.0),)),
    persistence=False,
    memory_used_bytes=3 * GIB,
    processes=(Process(4711, 3 * GIB),),
)
BOARDS = Settings(boards=(h100(0, idle_w=0.0, power=(Constant(watts=200.0),)), STRANGER))


def test_claim_8_4_8_12_13_two_boards_add_up_are_drained_and_strangers_on_one_are_told(
    exchange: Path, simulated_nvml: SimulatedNvml
) -> None:
    uuids = [board.uuid for board in BOARDS.boards]
    simulated_nvml.write(BOARDS)
    experiment = {"baseline": {"duration_seconds": 1}, "energy": {"min_window_seconds": 2}, "max_output_tokens": 20}
    order(exchange, experiment, gpu_uuids=uuids)
    assert run(exchange, **{**simulated_nvml.env, "CUDA_VISIBLE_DEVICES": ",".join(uuids)}) == 0
    done = result(exchange)
    energy, window = done.energy, done.window

    # 12: one window for both, in which energies and tokens add up.
    assert [device.uuid for device in energy.devices] == uuids
    assert energy.total_j is not None
    assert energy.lower_j is not None
    assert energy.upper_j is not None
    assert energy.total_j == pytest.approx(sum(device.total_j or 0.0 for device in energy.devices))
    truths_j = [BOARDS.truth(uuid).energy_j(window.start_unix_s, window.end_unix_s) for uuid in uuids]
    for device, truth_j in zip(energy.devices, truths_j, strict=True):
        assert device.total_j == pytest.approx(truth_j, rel=0.01)
    assert energy.lower_j <= sum(truths_j) <= energy.upper_j
    assert energy.idle_power_w == pytest.approx(500.0, rel=0.03)
    assert energy.adjusted_j == pytest.approx(0.0, abs=0.03 * energy.total_j)
    assert done.tokens.output == sum(one.output_tokens for one in done.passes)
    assert (window.start_unix_s, window.end_unix_s) == (done.passes[0].start_unix_s, done.passes[-1].end_unix_s)
    # A busy machine may need all of the window for its first pass.
    assert (done.passes_spread.n if done.passes_spread else 1) == len(done.passes)

    # 4: recorded until the drain's own energy is known as well.
    [drain] = [phase for phase in done.phases if phase.name == "drain"]
    drain_s = drain.end_unix_s - drain.start_unix_s
    assert drain.energy_j == pytest.approx(500.0 * drain_s, rel=0.05)
    [started_s] = [event.t for event in events(exchange) if isinstance(event, PhaseEvent) and event.name == "drain"]
    lag_s = board_facts(h100(0).name).counter_lag_ms.high / 1000
    for uuid in uuids:
        steps_s = counter_steps_s(exchange / "out" / "power.csv", uuid)
        for end_s in (started_s, started_s + drain_s):
            after_s = [step_s for step_s in steps_s if step_s > end_s]
            assert len(after_s) >= 2
            assert after_s[-1] >= end_s + lag_s

    # 8 and 13: who was there, by count and by memory, with numbers.
    [check] = [check for check in done.quality.checks if check.name == "foreign_processes"]
    assert (check.passed, check.value, check.limit) == (False, 1, 0)
    told = {warning.code: warning.message for warning in done.warnings}
    assert "before the load: 0/1, in the window: 0/1" in told["foreign_processes"]
    assert "3.0 GiB of GPU 1" in told["memory_in_use_before"]
    assert "GPU 1" in told["persistence_mode_off"]
    assert "drain_energy_unknown" not in told


def test_claim_8_11_a_run_on_a_good_board_is_a_b_with_every_check_its_value_and_its_limit(
    exchange: Path, simulated_nvml: SimulatedNvml, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = tmp_path_factory.mktemp("model")
    make_tiny_llama(model)
    board = BOARDS.boards[0]
    simulated_nvml.write(Settings(boards=(board,)))
    experiment = {
        "model": str(model),
        "output_length": "fixed",
        "max_output_tokens": 16,
        "baseline": {"duration_seconds": 1},
        # Steady enough on a machine that does other things, too; the temperature is watched as ever.
        "warmup": {"cv_threshold": 1.0, "max_iterations": 1000, "thermal_floor_seconds": 0},
        "energy": {"min_window_seconds": 10},
        "pytorch": {"batch_size": 2},
    }
    order(exchange, experiment, gpu_uuids=[board.uuid])
    assert run(exchange, **{**simulated_nvml.env, "CUDA_VISIBLE_DEVICES": board.uuid}) == 0
    done = result(exchange)
    assert [check.name for check in done.quality.checks] == list(B_CHECKS)
    assert {check.name: check.passed for check in done.quality.checks} == dict.fromkeys(B_CHECKS, True)
    assert all(check.value is not None and check.limit is not None for check in done.quality.checks)
    assert (done.quality.level, done.simulated) == ("B", True)
    assert done.warmup.converged is True
    assert done.warmup.duration_s >= 10
    # What was read of a board at rest and steady is nothing to be warned of.
    rules = {"window_short", "temperature_rise", "persistence_mode_off", "memory_in_use_before", "batch_not_filled"}
    assert not rules & {warning.code for warning in done.warnings}


def counter_steps_s(path: Path, uuid: str) -> list[float]:
    """When each reading came that showed the board's counter higher than the one before it."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["device"] == uuid and row["counter_mj"]]
    return [
        float(later["monotonic_s"])
        for earlier, later in itertools.pairwise(rows)
        if int(later["counter_mj"]) > int(earlier["counter_mj"])
    ]
