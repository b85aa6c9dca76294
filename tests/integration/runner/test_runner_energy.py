"""The real runner on simulated boards: every energy of a result against the exact truth, and what is empty and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runner_process import error, events, order, result, run, start, wait_for_phase
from simulated_nvml import Settings, h100, p100
from simulated_nvml.fixtures import SimulatedNvml
from simulated_nvml.shapes import Square

from llem_runner.contract import ExperimentResult
from llem_runner.contract.events import PhaseEvent, ProgressEvent

BOARDS = Settings(boards=(h100(0, idle_w=70.0, power=(Square(low_w=30.0, high_w=430.0, period_s=0.75),)),))
UUID = BOARDS.boards[0].uuid


def warnings(done: ExperimentResult) -> set[str]:
    """The codes given, but for those that every run on a simulated board has."""
    always = {"allocator_unknown", "queue_time_unknown", "window_short"}
    return {warning.code for warning in done.warnings} - always


def measured(
    exchange: Path, nvml: SimulatedNvml, settings: Settings, experiment: dict[str, Any], **env: str
) -> ExperimentResult:
    nvml.write(settings)
    order(exchange, experiment, gpu_uuids=[settings.boards[0].uuid])
    assert run(exchange, **{**nvml.env, "CUDA_VISIBLE_DEVICES": settings.boards[0].uuid, **env}) == 0
    return result(exchange)


def test_claim_8_every_energy_of_a_result_agrees_with_the_truth(exchange: Path, simulated_nvml: SimulatedNvml) -> None:
    experiment = {"baseline": {"duration_seconds": 3}, "energy": {"min_window_seconds": 3}, "max_output_tokens": 20}
    done = measured(exchange, simulated_nvml, BOARDS, experiment)
    truth = BOARDS.truth(UUID)
    energy, window, phases = done.energy, done.window, {phase.name: phase for phase in done.phases}
    truth_j = truth.energy_j(window.start_unix_s, window.end_unix_s)
    assert energy.total_j is not None
    assert energy.lower_j is not None
    assert energy.upper_j is not None
    assert energy.lower_j <= truth_j <= energy.upper_j
    assert energy.total_j == pytest.approx(truth_j, rel=0.02)

    powers = {}
    for name, power_w in (("idle", energy.idle_power_w), ("resident", energy.resident_power_w)):
        phase = phases[name]
        spent_j = truth.energy_j(phase.start_unix_s, phase.end_unix_s)
        powers[name] = spent_j / (phase.end_unix_s - phase.start_unix_s)
        assert power_w == pytest.approx(powers[name], rel=0.03)
        assert phase.energy_j == pytest.approx(spent_j, rel=0.03)
    assert phases["load"].energy_j == pytest.approx(
        truth.energy_j(phases["load"].start_unix_s, phases["load"].end_unix_s), rel=0.02
    )
    # Small differences of large numbers: within what total and power may be wrong by.
    for above_j, name in ((energy.adjusted_j, "idle"), (energy.above_resident_j, "resident")):
        expected_j = max(0.0, truth_j - powers[name] * window.duration_s)
        assert above_j == pytest.approx(expected_j, abs=0.05 * truth_j)

    assert energy.per_output_token_j == pytest.approx(energy.total_j / done.tokens.output)
    assert energy.per_total_token_j == pytest.approx(energy.total_j / done.tokens.total)
    assert energy.per_request_j == pytest.approx(energy.total_j / done.requests.completed)
    assert sum(one.energy_j or 0.0 for one in done.passes) == pytest.approx(energy.total_j, rel=0.02)
    assert sum(one.output_tokens for one in done.passes) == done.tokens.output
    assert warnings(done) == {"warmup_not_watched"}
    # The recording goes on until the drain's own energy is known, too.
    assert all(phase.energy_j is not None for phase in done.phases)
    # A busy machine may need all of the window for its first pass.
    assert (done.passes_spread.n if done.passes_spread else 1) == len(done.passes)
    assert done.passes_spread is None or done.passes_spread.energy_per_output_token_cv is not None
    # Simulated boards, computing on the CPU: nobody is there, and the run itself is none of whom the count shows.
    [company] = [check for check in done.quality.checks if check.name == "foreign_processes"]
    assert (company.passed, company.value, company.limit) == (True, 0, 0)


def test_claim_7_without_a_baseline_no_idle_power_is_made_up(exchange: Path, simulated_nvml: SimulatedNvml) -> None:
    experiment = {"baseline": {"enabled": False}, "energy": {"min_window_seconds": 0.5}}
    done = measured(exchange, simulated_nvml, BOARDS, experiment)
    assert (done.energy.idle_power_w, done.energy.adjusted_j) == (None, None)
    assert done.energy.resident_power_w is not None
    assert done.energy.above_resident_j is not None
    assert warnings(done) == {"warmup_not_watched", "idle_power_not_measured"}


def test_a_short_window_knows_temperature_throttling_and_memory(exchange: Path, simulated_nvml: SimulatedNvml) -> None:
    board = replace(BOARDS.boards[0], temperature_c=47, throttle_reasons=0x20, memory_used_bytes=3 * 2**30)
    done = measured(exchange, simulated_nvml, Settings(boards=(board,)), {"baseline": {"enabled": False}})
    assert done.window.duration_s < 0.5
    assert (done.thermal.start_c, done.thermal.max_c, done.thermal.throttled) == (47.0, 47.0, True)
    assert done.memory.peak_device_bytes == 3 * 2**30 + board.memory_reserved_bytes


def test_claim_8_simulated_boards_are_known_even_where_nothing_is_recorded(
    exchange: Path, simulated_nvml: SimulatedNvml
) -> None:
    done = measured(exchange, simulated_nvml, BOARDS, {"energy": {"backend": "none"}})
    assert done.simulated is True
    assert [gpu["uuid"] for gpu in done.environment["gpus"]] == [UUID]
    assert done.energy.source == "none"
    assert done.quality.level == "D"
    assert not (exchange / "out" / "power.csv").exists()
    assert warnings(done) == {"warmup_not_watched", "energy_not_measured"}


def test_a_board_without_a_counter_has_bounds_that_are_said_to_be_unproven(
    exchange: Path, simulated_nvml: SimulatedNvml
) -> None:
    done = measured(
        exchange,
        simulated_nvml,
        Settings(boards=(p100(0),)),
        {"baseline": {"enabled": False}, "energy": {"min_window_seconds": 2}},
    )
    assert (done.energy.method, done.energy.cross_check_j) == ("power", None)
    [width] = [check for check in done.quality.checks if check.name == "bounds_width"]
    assert width.passed is not True
    assert "bounds_not_proven" in warnings(done)
    assert done.energy.devices[0].counter_steps is None


def test_claim_8_a_counter_of_more_than_the_gpu_disagrees_with_its_power_and_is_told(
    exchange: Path, simulated_nvml: SimulatedNvml
) -> None:
    board = h100(0, counter_scope="module", module_extra_w=150.0)
    experiment = {"baseline": {"enabled": False}, "energy": {"min_window_seconds": 5.2}, "max_output_tokens": 50}
    done = measured(exchange, simulated_nvml, Settings(boards=(board,)), experiment)
    [message] = [warning.message for warning in done.warnings if warning.code == "counter_disagrees"]
    assert "The counter is the module's, the power the gpu's." in message
    [gpu] = done.environment["gpus"]
    assert (gpu["counter_scope"], gpu["power_scope"]) == ("module", "gpu")


def test_claim_8_a_lost_board_beside_the_allocated_one_costs_nothing(
    exchange: Path, simulated_nvml: SimulatedNvml
) -> None:
    settings = Settings(boards=(BOARDS.boards[0], h100(1).lost()))
    assert measured(exchange, simulated_nvml, settings, {"baseline": {"enabled": False}}).energy.total_j is not None


def test_a_part_of_a_board_is_a_backend_error_with_the_reason(exchange: Path, simulated_nvml: SimulatedNvml) -> None:
    order(exchange, {}, gpu_uuids=["MIG-abc"])
    assert run(exchange, **{**simulated_nvml.env, "CUDA_VISIBLE_DEVICES": "MIG-abc"}) == 3
    report = error(exchange)
    assert report["kind"] == "backend"
    assert "MIG is on" in report["message"]


def test_claim_15_the_tokens_of_a_warmup_are_a_sign_of_life_that_rises(exchange: Path) -> None:
    one_long_batch = {"warmup": {"convergence_detection": False, "n_warmup": 1}, "max_output_tokens": 700}
    order(exchange, one_long_batch)
    with start(exchange) as process:
        try:
            wait_for_phase(exchange, "measure")
        finally:
            process.kill()
    told = events(exchange)
    names = [event.name if isinstance(event, PhaseEvent) else "" for event in told]
    warmup = told[names.index("warmup") : names.index("measure")]
    tokens = [event.done for event in warmup if isinstance(event, ProgressEvent) and event.unit == "tokens"]
    assert len(tokens) >= 2
    assert tokens == sorted(set(tokens))
    assert tokens[-1] > 1
    assert [event.done for event in warmup if isinstance(event, ProgressEvent) and event.unit == "iterations"] == [1]


COMPILED = {
    "pytorch": {"torch_compile": True, "torch_compile_backend": "eager", "batch_size": 1},
    "output_length": "fixed",
    "max_output_tokens": 4,
}


def test_claim_9_what_torch_compile_makes_of_every_batch_is_made_before_the_window(exchange: Path) -> None:
    order(exchange, {**COMPILED, "warmup": {"convergence_detection": False, "n_warmup": 1}})
    assert run(exchange) == 0
    done = result(exchange)
    graphs = done.environment["engine"]["compiled_graphs"]
    assert graphs["after_window"] == graphs["before_window"] > 0
    assert graphs["whole_pass_before_warmup"] is True
    assert "recompiled_in_window" not in {warning.code for warning in done.warnings}
    assert done.warmup.iterations == 1


def test_claim_9_graphs_that_are_compiled_inside_the_window_are_told(exchange: Path) -> None:
    order(exchange, COMPILED)
    assert run(exchange) == 0
    done = result(exchange)
    graphs = done.environment["engine"]["compiled_graphs"]
    assert graphs["after_window"] > graphs["before_window"]
    assert graphs["whole_pass_before_warmup"] is False
    assert "recompiled_in_window" in {warning.code for warning in done.warnings}
