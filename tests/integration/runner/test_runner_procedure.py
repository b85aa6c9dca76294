"""What stands around the joules of a real run: operations, times, throttling, saturation, environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runner_process import order, result, run
from simulated_nvml import Settings, h100
from simulated_nvml.fixtures import SimulatedNvml

from llem_runner.contract import ExperimentResult
from llem_runner.metrics.flops import METHOD

BOARD = h100(
    0,
    vbios_version="96.00.89.00.0F",
    power_limit_w=500.0,
    throttle_reasons=0x0A,
    temperature_c=61,
    persistence=False,
    compute_mode=3,
    pcie_generation=4,
    pcie_width=8,
    application_sm_clock_mhz=1755,
)
LAYER = 256 * 64 * (2 * 4 + 2 * 2) + 3 * 256 * 704
"""Elements of the matrices of one layer of the tiny model."""
HEAD = 512 * 256


def check(done: ExperimentResult, name: str) -> Any:
    return next(check for check in done.quality.checks if check.name == name)


def work(given: int, made: int, beams: int = 1) -> int:
    """Operations of one request to the tiny model, worked by hand: 2 layers, 4 heads of width 64."""
    prefill = 2 * LAYER * given + 2 * 512 * sum(range(1, given + 1)) + HEAD
    decode = 2 * LAYER * (made - 1) + 2 * 512 * sum(range(given + 1, given + made)) + HEAD * (made - 1)
    return 2 * (prefill + beams * decode)


def test_claims_8_5_6_7_10_a_run_on_a_board_has_the_numbers_around_the_joules(
    exchange: Path, simulated_nvml: SimulatedNvml
) -> None:
    simulated_nvml.write(Settings(boards=(BOARD,), cuda_driver_version=12080))
    experiment = {
        "baseline": {"enabled": False},
        "energy": {"min_window_seconds": 2},
        "max_output_tokens": 12,
        "output_length": "fixed",
        "pytorch": {"batch_size": 2},
    }
    order(exchange, experiment, gpu_uuids=[BOARD.uuid])
    assert run(exchange, **{**simulated_nvml.env, "CUDA_VISIBLE_DEVICES": BOARD.uuid}) == 0
    done = result(exchange)
    passes, compute = len(done.passes), done.compute

    # 5: of both prompts, in every pass.
    lengths = [sample["input_tokens"] for sample in samples(exchange)]
    assert compute.flops_total == passes * sum(work(given, 12) for given in lengths)
    assert compute.flops_total == (compute.flops_prefill or 0) + (compute.flops_decode or 0)
    assert compute.flops_per_output_token == pytest.approx(compute.flops_total / done.tokens.output)
    assert compute.flops_per_s == pytest.approx(compute.flops_total / done.window.duration_s)
    assert (compute.active_parameters, compute.method) == (2 * LAYER + HEAD, METHOD)
    assert compute.parameters == pytest.approx(2 * LAYER + 2 * HEAD, rel=0.01)

    # 6
    latency = done.latency
    assert latency.request_s is not None
    assert latency.ttft_s is not None
    assert latency.itl_s is not None
    assert (latency.request_s.n, latency.ttft_s.n, latency.itl_s.n) == (2 * passes, 2 * passes, 2 * passes * 11)
    assert latency.ttft_s.p50 < latency.request_s.p50
    assert latency.queue_s is None
    assert done.memory.peak_device_bytes == BOARD.memory_reserved_bytes

    # 7: hw_slowdown and a locked clock, all the time; two requests of equal length run all the time as well.
    [device] = done.thermal.devices
    assert (device.uuid, device.start_c, device.max_c, device.throttled) == (BOARD.uuid, 61.0, 61.0, True)
    assert device.observed_s == pytest.approx(done.window.duration_s, rel=0.01)
    assert [reason.name for reason in device.reasons] == ["applications_clocks_setting", "hw_slowdown"]
    for reason in device.reasons:
        assert reason.duration_s == pytest.approx(done.window.duration_s, rel=0.01)
        assert reason.share == pytest.approx(1.0)
    assert check(done, "saturation").value == pytest.approx(100.0, abs=30.0)
    assert check(done, "saturation").limit == 80.0

    # 10
    [gpu] = done.environment["gpus"]
    assert (gpu["uuid"], gpu["name"]) == (BOARD.uuid, BOARD.name)
    assert (gpu["vbios"], gpu["driver"], gpu["nvml"]) == ("96.00.89.00.0F", "580.95.05", "13.580.95.05")
    assert gpu["cuda_driver"] == "12.8"
    assert [gpu[f"power_limit_{name}w"] for name in ("", "default_", "min_", "max_")] == [500.0, 700.0, 200.0, 700.0]
    assert gpu["clocks_mhz"] == gpu["max_clocks_mhz"] == {"sm": 1980, "memory": 2619}
    assert gpu["application_clocks_mhz"] == {"sm": 1755, "memory": 2619}
    assert (gpu["ecc"], gpu["mig"], gpu["persistence"]) == (True, False, False)
    assert gpu["compute_mode"] == "exclusive_process"
    assert gpu["pcie"] == {"generation": 4, "width": 8, "max_generation": 5, "max_width": 16}
    model = {file["name"]: file for file in done.environment["model"]["files"]}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= model.keys()
    assert all(len(file["sha256"]) == 64 and file["hashed"] == "whole" for file in model.values())
    build = done.environment["engine"]["torch"]
    assert build["version"] == done.environment["packages"]["torch"]
    assert len(build["git"]) == 40
    assert {"cpu_model", "cpu_governor", "numa_nodes", "memory_bytes", "kernel"} <= done.environment["host"].keys()


def samples(exchange: Path) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in (exchange / "out" / "samples.jsonl").read_text().splitlines()]


def test_claims_8_5_6_7_beam_search_counts_its_beams_and_does_not_claim_times_that_it_has_not(exchange: Path) -> None:
    order(exchange, {"pytorch": {"num_beams": 3, "batch_size": 2}, "output_length": "fixed", "max_output_tokens": 5})
    assert run(exchange) == 0
    done = result(exchange)
    lengths = [sample["input_tokens"] for sample in samples(exchange)]
    assert done.compute.flops_total == sum(work(given, 5, beams=3) for given in lengths)
    assert (done.latency.ttft_s, done.latency.itl_s) == (None, None)
    assert check(done, "saturation").value is None
    messages = {warning.code: warning.message for warning in done.warnings}
    assert "gave none for 2 of 2 requests" in messages["first_token_time_unknown"]
    assert "for 2 of 2 requests" in messages["token_times_unknown"]
    assert "flops_not_counted" not in messages
