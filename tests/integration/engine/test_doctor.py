"""`llem doctor`: what a machine has and whether it is ready, in words and as JSON, and its exit code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acted import GOOD, NOTHING, acts, left_of
from docker_engine import SimulatedGpus
from simulated_nvml import Settings, h100

Llem = Callable[..., subprocess.CompletedProcess[str]]

NO_ENGINE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {finding["check"]: finding["status"] for finding in report["findings"]}


def test_claim_10_8_a_machine_with_an_engine_and_gpus_is_told_of_in_words_and_as_json(
    docker_llem: Llem, engine_gpus: SimulatedGpus, client: Any, actor: str, tmp_path: Path
) -> None:
    images = {"LLEM_IMAGE_PYTORCH": actor, "LLEM_RUNNER_PYTORCH": "docker", "LLEM_IMAGE_VLLM": "llem-test-none:1"}
    done = docker_llem("doctor", "--json", env={**images, "LLEM_RUNNER_VLLM": "docker"})
    report = json.loads(done.stdout)
    assert (done.returncode, report["ready"]) == (0, True), done.stderr
    facts = report["facts"]
    assert facts["engine"].startswith(("containers (Docker ", f"containers of {actor} (Docker "))
    assert (facts["driver"], facts["cuda_driver"]) == ("580.95.05", "13.0")
    assert [(gpu["uuid"], gpu["simulated"]) for gpu in report["gpus"]] == [(h100(n).uuid, True) for n in (0, 1)]
    assert report["gpus"][0]["memory_total_bytes"] == 80 << 30
    checks = statuses(report)
    assert checks["engine"] == checks["image of pytorch"] == checks["GPUs"] == checks["GPU memory in use"] == "ok"
    assert checks[f"container of {actor}"] == "ok"
    # It is no failure that an image would have to be pulled, and a doctor pulls none.
    assert checks["image of vllm"] == "skipped"
    assert not (tmp_path / "results").exists()
    assert left_of(client, tmp_path) == NOTHING

    engine_gpus.write(Settings(boards=(h100(0, memory_used_bytes=60 << 30), h100(1))))
    (tmp_path / "s.yaml").write_text(acts(GOOD, device="cuda"))
    done = docker_llem("doctor", "--study", "s.yaml")
    assert done.returncode == 3
    assert "✗ GPU memory in use: GPU " in done.stdout
    assert "simulated: its readings are worth nothing" in done.stdout
    assert "s: NOT ready (GPU memory in use)." in done.stdout


def test_claim_10_8_without_an_engine_and_gpus_runs_on_the_cpu_are_what_is_left_and_that_is_exit_0(
    docker_llem: Llem, tmp_path: Path
) -> None:
    done = docker_llem("doctor", env={**NO_ENGINE, "LLEM_RUNNER_VLLM": "docker"})
    assert done.returncode == 0, done.stdout
    assert "pytorch: ready. No container engine answers: runs are local" in done.stdout
    assert "on the CPU: no NVIDIA GPU was found" in done.stdout
    assert "vllm: NOT ready (engine)." in done.stdout
    assert "✗ engine: engine_unreachable: No container engine answers at unix:///nonexistent" in done.stdout

    everything = {"LLEM_RUNNER_PYTORCH": "docker", "LLEM_RUNNER_VLLM": "docker"}
    done = docker_llem("doctor", "--json", env={**NO_ENGINE, **everything})
    report = json.loads(done.stdout)
    assert (done.returncode, report["ready"], statuses(report)["engine"]) == (3, False, "failed")
    assert [finding["remedy"] for finding in report["findings"] if finding["check"] == "engine"] == [
        "Is the engine running (docker info)?"
    ]


def test_claim_10_8_a_study_file_that_cannot_be_used_is_exit_2(docker_llem: Llem, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("model: ./nowhere\n")
    done = docker_llem("doctor", "--study", "s.yaml", env=NO_ENGINE)
    assert (done.returncode, "nowhere" in done.stderr) == (2, True), done.stderr
