"""Before the first run: all that is wrong with a machine is told at once, and what is not wrong stops nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, NOTHING, acts, kinds, left_of
from actor_image import ACTOR_IMAGE, built
from docker_engine import SimulatedGpus
from simulated_nvml import Settings, h100
from simulated_nvml.board import Process

Llem = Callable[..., subprocess.CompletedProcess[str]]

GIB = 1 << 30
FIRST, SECOND = h100(0).uuid, h100(1).uuid
MISSING = "llem-test-preflight-missing:1"
# Llama 3.1 70B.
LARGE = {
    "model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
    "num_key_value_heads": 8, "intermediate_size": 28672, "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip


@pytest.fixture(scope="module")
def cuda_13(client: Any, actor: str) -> Iterator[str]:
    """An actor's image that says of itself that it needs CUDA 13."""
    tag = built(client, "llem-test-preflight-cuda13:latest", f"FROM {actor}\nENV CUDA_VERSION=13.0.1\n")
    yield tag
    client.images.remove(tag, force=True)


def used(first_gib: float, second_gib: float = 0, cuda: int = 13000) -> Settings:
    """Two boards with so much in use."""
    boards = [
        h100(index, memory_used_bytes=round(gib * GIB), processes=(Process(4711, round(gib * GIB)),) if gib else ())
        for index, gib in enumerate((first_gib, second_gib))
    ]
    return Settings(boards=tuple(boards), cuda_driver_version=cuda, driver_version="550.54.15")


def large_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LARGE))
    return folder


def signs(text: str) -> dict[str, list[str]]:
    """The checks that were told, by their sign."""
    lines = [line for line in text.splitlines() if line[:2] in ("✗ ", "! ", "– ")]
    return {sign: [line[2:].partition(":")[0] for line in lines if line[0] == sign] for sign in "✗!–"}


def test_claim_10_7_everything_that_is_wrong_is_told_at_once_each_with_what_to_do_and_exit_3(
    docker_llem: Llem, engine_gpus: SimulatedGpus, client: Any, cuda_13: str, tmp_path: Path
) -> None:
    engine_gpus.write(used(40, cuda=12040))
    model = large_model(tmp_path / "llama-70b")
    (model / "config.json").chmod(0o600)
    images = {"pytorch": cuda_13, "vllm": {"image": MISSING, "pull": "never"}}
    (tmp_path / "s.yaml").write_text(
        acts(GOOD, device="cuda", backend=["pytorch", "vllm"], model=str(model), images=images)
    )
    done = docker_llem("run", "-q", "s.yaml")
    assert done.returncode == 3, done.stderr
    told = done.stderr
    assert signs(told)["✗"] == [
        "models", "image of vllm", "GPU memory in use", "GPU memory forecast", "GPU memory forecast",
        "driver for pytorch",
    ], told  # fmt: skip
    for words in (
        "checks 6 failed", "nothing was started",
        f"no image {MISSING}", "pull: never",
        "chmod -R a+rX",
        "built for CUDA 13.0", "driver 550.54.15 can do 12.4 at most", "Update the driver",
        f"GPU {FIRST}", "40.0 of 80.0 GiB are in use", f"execution.gpus: [{SECOND}]",
        "weights 131.4", "Choose a smaller model",
    ):  # fmt: skip
        assert words in told, (words, told)
    assert "Traceback" not in told
    assert not (tmp_path / "results").exists()
    assert left_of(client, tmp_path) == NOTHING


def test_claim_10_7_a_little_memory_of_others_is_warned_of_and_much_of_it_ends_it_unless_preflight_is_skipped(
    docker_llem: Llem, engine_gpus: SimulatedGpus, actor: str, tmp_path: Path
) -> None:
    engine_gpus.write(used(1))
    (tmp_path / "s.yaml").write_text(acts(GOOD, device="cuda"))
    done = docker_llem("run", "s.yaml")
    assert done.returncode == 0, done.stderr
    assert f"GPU memory in use: GPU {FIRST}" in done.stderr
    assert "1.0 of 80.0 GiB are in use" in done.stderr
    assert "Preflight: " in done.stderr
    assert " checks, " in done.stderr

    engine_gpus.write(used(0, 30))
    done = docker_llem("run", "s.yaml")
    assert (done.returncode, signs(done.stderr)["✗"]) == (3, ["GPU memory in use"]), done.stderr
    assert f"execution.gpus: [{FIRST}]" in done.stderr

    (tmp_path / "s.yaml").write_text(acts(GOOD, device="cuda", execution={"skip_preflight": True}))
    done = docker_llem("run", "s.yaml")
    assert done.returncode == 0, done.stderr
    assert "Preflight is skipped, as the study asks" in done.stderr
    assert "2 × NVIDIA H100" in done.stderr


def test_claim_10_7_a_driver_that_is_too_old_for_the_images_cuda_ends_it(
    docker_llem: Llem, engine_gpus: SimulatedGpus, cuda_13: str, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, device="cuda", images={"pytorch": cuda_13}))
    engine_gpus.write(used(0, cuda=12080))
    done = docker_llem("run", "s.yaml")
    assert (done.returncode, signs(done.stderr)["✗"]) == (3, ["driver for pytorch"]), done.stderr


def test_claim_10_7_a_model_that_fits_on_no_gpu_ends_it_and_where_others_fit_these_run(
    docker_llem: Llem, engine_gpus: SimulatedGpus, actor: str, tmp_path: Path
) -> None:
    large = str(large_model(tmp_path / "llama-70b"))
    (tmp_path / "s.yaml").write_text(acts(GOOD, device="cuda", model=large))
    done = docker_llem("run", "s.yaml")
    assert (done.returncode, signs(done.stderr)["✗"]) == (3, ["GPU memory forecast"]), done.stderr
    study = json.loads(acts(GOOD, GOOD, device="cuda"))
    study["experiments"][1]["model"] = large
    (tmp_path / "s.yaml").write_text(json.dumps(study))
    done = docker_llem("run", "s.yaml")
    assert done.returncode == 0, done.stderr
    assert "will not fit: " in done.stderr
    [folder] = (tmp_path / "results").iterdir()
    assert kinds(folder) == ["completed", "completed"]


def test_claim_10_7_an_engine_that_is_gone_hides_nothing_of_the_rest(docker_llem: Llem, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    (tmp_path / "s.yaml").write_text(acts(GOOD, runners={"pytorch": "docker"}))
    done = docker_llem("run", "s.yaml", env={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert (done.returncode, signs(done.stderr)["✗"]) == (3, ["engine", "disk of the results"]), done.stderr
    assert "Is the engine running (docker info)?" in done.stderr
    assert "results is a file" in done.stderr


def test_claim_10_7_nothing_is_pulled_while_something_else_is_wrong(
    docker_llem: Llem, engine_gpus: SimulatedGpus, actor: str, tmp_path: Path
) -> None:
    engine_gpus.write(used(40))
    images = {"pytorch": ACTOR_IMAGE, "vllm": f"127.0.0.1:9/{MISSING}"}
    (tmp_path / "s.yaml").write_text(acts(GOOD, device="cuda", backend=["pytorch", "vllm"], images=images))
    done = docker_llem("run", "s.yaml")
    assert done.returncode == 3
    assert "– image of vllm: not checked, as nothing is pulled while something else is wrong" in done.stderr


def test_claim_10_7_a_study_that_goes_on_has_a_preflight_of_its_own(
    docker_llem: Llem, engine_gpus: SimulatedGpus, actor: str, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, "sys.exit(7)", device="cuda"))
    assert docker_llem("run", "s.yaml").returncode == 1
    [study] = (tmp_path / "results").iterdir()
    engine_gpus.write(used(40, 40))
    done = docker_llem("run", "--resume", study)
    assert (done.returncode, signs(done.stderr)["✗"]) == (3, ["GPU memory in use"] * 2), done.stderr
