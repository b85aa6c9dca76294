"""A whole study on simulated boards: real recorder, real pynvml, real PyTorch, an energy that is known exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from llem_process import TINY, Hosts, journal, llem, the_study, wait_for_phase
from simulated_nvml.board import h100
from simulated_nvml.fixtures import SimulatedNvml
from simulated_nvml.settings import Settings
from simulated_nvml.shapes import Square

STUDY = TINY.replace("min_window_seconds: 0.2", "min_window_seconds: 3")


@pytest.fixture
def boards() -> Settings:
    """Two boards of one model that draw very different power."""
    return Settings(
        boards=(
            h100(0, idle_w=70.0, power=(Square(low_w=30.0, high_w=430.0, period_s=0.75),)),
            h100(1, idle_w=70.0, power=()),
        )
    )


def mean_power_w(boards: Settings, result: dict[str, Any], name: str) -> float:
    """The first board's true mean power over a phase."""
    [phase] = [phase for phase in result["phases"] if phase["name"] == name]
    start_s, end_s = phase["start_unix_s"], phase["end_unix_s"]
    return boards.truth(boards.boards[0].uuid).energy_j(start_s, end_s) / (end_s - start_s)


def the_result(parent: Path) -> dict[str, Any]:
    [path] = parent.glob("results/*/runs/*/result.json")
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def run(tmp_path: Path, simulated_nvml: SimulatedNvml, boards: Settings, visible: str | None) -> dict[str, Any]:
    simulated_nvml.write(boards)
    (tmp_path / "s.yaml").write_text(STUDY)
    environment = dict(simulated_nvml.env) | ({} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})
    done = llem("run", "s.yaml", "-q", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "simulated" in done.stdout
    return the_result(tmp_path)


def test_claim_8_the_bounds_of_window_and_passes_contain_the_truth_and_the_result_is_simulated(
    tmp_path: Path, simulated_nvml: SimulatedNvml, boards: Settings
) -> None:
    result = run(tmp_path, simulated_nvml, boards, None)
    assert result["simulated"] is True
    energy, window = result["energy"], result["window"]
    [device] = energy["devices"]
    assert "simulated" in device["name"]
    truth = boards.truth(device["uuid"])
    truth_j = truth.energy_j(window["start_unix_s"], window["end_unix_s"])
    assert energy["lower_j"] <= truth_j <= energy["upper_j"]
    assert abs(energy["total_j"] / truth_j - 1) < 0.03
    passes_j = [one["energy_j"] for one in result["passes"]]
    assert len(passes_j) > 1
    assert sum(passes_j) == pytest.approx(energy["total_j"], rel=0.02)
    assert min(passes_j) > 0
    # A pass is shorter than a step of the counter, which says little of one alone: so as many as make a good second.
    for share in (0.4, 0.6, 0.8):
        count = round(share * len(passes_j))
        passes_truth_j = truth.energy_j(window["start_unix_s"], result["passes"][count - 1]["end_unix_s"])
        assert sum(passes_j[:count]) == pytest.approx(passes_truth_j, rel=0.05)
    assert energy["idle_power_w"] == pytest.approx(mean_power_w(boards, result, "idle"), rel=0.1)
    assert energy["resident_power_w"] == pytest.approx(mean_power_w(boards, result, "resident"), rel=0.05)
    assert energy["per_output_token_j"] == pytest.approx(energy["total_j"] / result["tokens"]["output"])
    assert (energy["source"], energy["method"], energy["lag_ms"]) == ("nvml", "counter", 15.0)
    assert device["power_limit_w"] == boards.boards[0].power_limit_w
    assert device["counter_steps"] >= 25
    checks = {check["name"]: check["passed"] for check in result["quality"]["checks"]}
    # A window of 3 s is too short, for its own check and for judging the counter by; the tiny model is made up.
    expected = {"window_length": False, "counter_agrees": None, "real_weights": False, "throttling": True}
    assert {name: checks[name] for name in expected} == expected
    assert checks["prefix_cache"] is True
    assert checks["saturation"] is not None
    assert result["quality"]["level"] == "C"
    [timeline] = tmp_path.glob("results/*/runs/*/power.parquet")
    assert pyarrow.parquet.read_table(timeline).num_rows > 50


def test_claim_7_7_a_calibration_in_the_user_settings_is_in_every_number_and_recorded_with_the_board(
    tmp_path: Path, simulated_nvml: SimulatedNvml, boards: Settings
) -> None:
    simulated_nvml.write(boards)
    uuid = boards.boards[0].uuid
    settings = tmp_path / "settings" / "llem" / "config.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"calibration: {{{uuid}: {{factor: 0.8, uncertainty_percent: 1.5, source: PMD}}}}\n")
    (tmp_path / "s.yaml").write_text(STUDY)
    environment = {**simulated_nvml.env, "XDG_CONFIG_HOME": str(tmp_path / "settings")}
    done = llem("run", "s.yaml", "-q", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    result = the_result(tmp_path)
    energy, window = result["energy"], result["window"]
    truth_j = boards.truth(uuid).energy_j(window["start_unix_s"], window["end_unix_s"]) / 0.8
    assert energy["lower_j"] <= truth_j <= energy["upper_j"]
    assert energy["resident_power_w"] == pytest.approx(mean_power_w(boards, result, "resident") / 0.8, rel=0.05)
    assert sum(one["energy_j"] for one in result["passes"]) == pytest.approx(energy["total_j"], rel=0.02)
    [device] = energy["devices"]
    assert (device["gain_factor"], device["gain_source"]) == (0.8, "PMD")
    assert energy["systematic_percent"] == device["systematic_percent"] == 1.5

    # The run's own timeline says the same, however it is kept.
    [folder] = tmp_path.glob("results/*/runs/*")
    lines = [json.loads(line) for line in (folder / "out" / "events.jsonl").read_text().splitlines()]
    marks = {line["name"]: line["t"] for line in lines if line["event"] == "phase"}
    (tmp_path / "spans.csv").write_text(f"start_monotonic_s,end_monotonic_s\n{marks['load']},{marks['resident']}\n")
    [load] = [phase for phase in result["phases"] if phase["name"] == "load"]
    for timeline in (folder / "power.parquet", folder / "out" / "power.csv"):
        options = ("--spans", "spans.csv", "--gain", "0.8", "--board", device["name"], "--json")
        done = llem("energy", str(timeline), *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        [entry] = json.loads(done.stdout)
        assert (entry["device"], entry["method"]) == (uuid, "counter")
        assert entry["energy_j"] == pytest.approx(load["energy_j"], rel=1e-3)


def test_claim_13_an_inherited_cuda_visible_devices_decides_what_is_measured(
    tmp_path: Path, simulated_nvml: SimulatedNvml, boards: Settings
) -> None:
    result = run(tmp_path, simulated_nvml, boards, "1")
    [device] = result["energy"]["devices"]
    assert device["uuid"] == boards.boards[1].uuid
    assert device["mean_power_w"] == pytest.approx(70.0, rel=0.02)
    allocation = json.loads(next(tmp_path.glob("results/*/runs/*/in/allocation.json")).read_text())
    assert allocation["gpu_uuids"] == [boards.boards[1].uuid]


def test_claim_13_a_visible_devices_that_hides_every_gpu_makes_it_a_cpu_run(
    tmp_path: Path, simulated_nvml: SimulatedNvml, boards: Settings
) -> None:
    simulated_nvml.write(boards)
    (tmp_path / "s.yaml").write_text(TINY)
    done = llem("run", "s.yaml", cwd=tmp_path, env={**simulated_nvml.env, "CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 0, done.stderr
    assert "on the CPU" in done.stderr
    result = the_result(tmp_path)
    assert (result["energy"]["source"], result["simulated"]) == ("none", False)


def test_claim_8_a_gpu_that_is_lost_within_the_window_ends_the_run_as_gpu_lost_and_its_timeline_is_kept(
    tmp_path: Path, simulated_nvml: SimulatedNvml, boards: Settings, start_llem: Hosts
) -> None:
    simulated_nvml.write(boards)
    (tmp_path / "s.yaml").write_text(STUDY.replace("min_window_seconds: 3", "min_window_seconds: 600"))
    host = start_llem("run", "s.yaml", cwd=tmp_path, env=dict(simulated_nvml.env))
    study = the_study(tmp_path / "results")
    run_folder = wait_for_phase(study, 1, "measure")
    simulated_nvml.write(replace(boards, boards=(boards.boards[0].lost(), boards.boards[1])))
    host.communicate(timeout=60)
    assert host.returncode == 1
    [failed] = [line for line in journal(study) if line["event"] == "run_failed"]
    assert failed["kind"] == "gpu_lost"
    assert boards.boards[0].uuid in failed["message"]
    assert (run_folder / "out" / "power.csv").read_text().count("\n") > 20
