"""Studies in containers: by themselves, by hand, and with the same layout of results as local ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, NOTHING, acts, left_of
from actor_image import ACTOR_IMAGE
from docker_engine import PYTORCH_IMAGE, REPOSITORY, Engine
from llem_process import environment, the_study
from other_engine import another_daemon

Llem = Callable[..., subprocess.CompletedProcess[str]]

# The quickstart, with a model and windows that make it seconds; on the CPU, since local runs here have no GPU.
SMALLER = {
    "model: builtin:smollm2-135m": "model: builtin:tiny-llama\ndevice: cpu",
    "\nn: 8\n": "\nn: 2\n",
    "pytorch.batch_size: [1, 8]": "pytorch.batch_size: [2]",
    "max_output_tokens: [16, 32]": "max_output_tokens: [4]",
    "n_cycles: 2": "n_cycles: 1",
    "duration_seconds: 5": "duration_seconds: 1",
    "thermal_floor_seconds: 5": "thermal_floor_seconds: 1",
    "min_window_seconds: 4": "min_window_seconds: 0.3",
}


def small_quickstart() -> str:
    """examples/quickstart.yaml, smaller."""
    text = (REPOSITORY / "examples" / "quickstart.yaml").read_text()
    for written, instead in SMALLER.items():
        assert written in text
        text = text.replace(written, instead)
    return text


def made(parent: Path, env: Mapping[str, str]) -> tuple[Path, str]:
    """`make study` of the small quickstart: its folder, and what a person saw."""
    (parent / "quickstart.yaml").write_text(small_quickstart())
    installed = f"{sys.prefix}/.installed"
    command = ["make", "-s", "-o", installed, f"VENV={sys.prefix}", "study", f"STUDY={parent}/quickstart.yaml"]
    done = subprocess.run(
        [*command, f"ARGS=-o {parent}/results"],
        cwd=REPOSITORY,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    return the_study(parent / "results"), done.stdout


@pytest.fixture(scope="module")
def contained(engine: Engine, client: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The study where an engine answers, and nothing says where it should run."""
    parent = tmp_path_factory.mktemp("contained")
    study = made(parent, {"DOCKER_HOST": engine.host})
    assert left_of(client, parent) == NOTHING
    return study


@pytest.fixture(scope="module")
def local(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The same where an engine answers, and a variable says that it is not to be used."""
    env = {"DOCKER_HOST": engine.host, "LLEM_RUNNER_PYTORCH": "local"}
    return made(tmp_path_factory.mktemp("local"), env)


def launches(study: Path) -> list[dict[str, Any]]:
    """`launch.json` of each run."""
    return [json.loads(path.read_text()) for path in sorted(study.glob("runs/*/launch.json"))]


def files(study: Path) -> set[str]:
    """Every file of a study, by its path in there."""
    return {str(path.relative_to(study)) for path in study.rglob("*") if not path.is_dir()}


def keys(value: Any, path: str = "") -> set[str]:
    """The paths of all keys in JSON; lists are looked into as one."""
    if isinstance(value, dict):
        return {path, *(key for name, each in value.items() for key in keys(each, f"{path}.{name}"))}
    if isinstance(value, list):
        return {path, *(key for each in value for key in keys(each, f"{path}[]"))}
    return {path}


def test_claim_6_4_make_study_runs_in_containers_where_an_engine_answers(contained: tuple[Path, str]) -> None:
    study, said = contained
    assert f"Runs are containers of {PYTORCH_IMAGE} (Docker 20.10" in said
    assert [launch["launcher"] for launch in launches(study)] == ["docker"]
    summary = json.loads((study / "study_result.json").read_text())
    assert summary["runs"] == {"total": 1, "completed": 1, "failed": 0, "interrupted": 0}


def test_claim_6_4_a_variable_says_local_all_the_same(local: tuple[Path, str]) -> None:
    study, said = local
    assert "Runs are local" in said
    assert [launch["launcher"] for launch in launches(study)] == ["local"]


def test_claim_6_4_a_study_in_containers_leaves_the_same_files_as_a_local_one(
    contained: tuple[Path, str], local: tuple[Path, str]
) -> None:
    assert files(contained[0]) == files(local[0])


@pytest.mark.parametrize("name", ["result.json", "in/experiment.json", "in/allocation.json"])
def test_claim_6_4_the_files_of_a_run_have_the_same_keys_as_those_of_a_local_one(
    contained: tuple[Path, str], local: tuple[Path, str], name: str
) -> None:
    for run in sorted(path.name for path in (local[0] / "runs").iterdir()):
        there, here = (json.loads((study / "runs" / run / name).read_text()) for study, _ in (contained, local))
        differing = {key for key in keys(there) ^ keys(here) if not key.startswith(".environment.")}
        assert differing == set()


def test_claim_6_4_tables_and_summary_have_the_same_names_as_those_of_a_local_one(
    contained: tuple[Path, str], local: tuple[Path, str]
) -> None:
    there, here = (json.loads((study / "study_result.json").read_text()) for study, _ in (contained, local))
    assert keys(there) == keys(here)
    assert there["study_design_hash"] == here["study_design_hash"]


def test_claim_6_4_results_say_in_which_image_they_were_measured(
    contained: tuple[Path, str], local: tuple[Path, str], client: Any
) -> None:
    images = [json.loads(path.read_text())["image"] for path in contained[0].glob("runs/*/result.json")]
    assert images == [{"name": PYTORCH_IMAGE, "digest": client.images.get(PYTORCH_IMAGE).id}]
    here = [json.loads(path.read_text())["image"] for path in local[0].glob("runs/*/result.json")]
    assert here == [{"name": None, "digest": None}]


@pytest.mark.parametrize(
    ("written", "env"),
    [
        ({"runners": {"pytorch": f"docker:{ACTOR_IMAGE}"}, "images": {}}, {}),
        ({"runners": {"pytorch": "local"}}, {"LLEM_RUNNER_PYTORCH": "docker"}),
        ({"images": {}}, {"LLEM_IMAGE_PYTORCH": ACTOR_IMAGE}),
    ],
    ids=["in_the_study", "runner_variable", "image_variable"],
)
def test_claim_6_4_a_study_or_a_variable_says_docker_and_in_which_image(
    actor: str, docker_llem: Llem, tmp_path: Path, client: Any, written: dict[str, Any], env: dict[str, str]
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, **written))
    done = docker_llem("run", "s.yaml", env=env)
    assert done.returncode == 0, done.stderr
    [launch] = launches(the_study(tmp_path / "results"))
    assert (launch["launcher"], launch["image"]) == ("docker", actor)
    assert left_of(client, tmp_path) == NOTHING


def test_claim_6_4_where_the_engine_lacks_the_image_auto_is_local_and_docker_is_exit_3(
    engine: Engine, docker_llem: Llem, tmp_path: Path
) -> None:
    # Ended at once: it shows all the same where it ran.
    (tmp_path / "s.yaml").write_text(acts("", images={}, execution={"timeout_seconds": 0.5}))
    with another_daemon(engine) as daemon:
        env = {"DOCKER_HOST": daemon.host}
        done = docker_llem("run", "s.yaml", env=env)
        env |= {"LLEM_RUNNER_PYTORCH": "docker", "LLEM_REGISTRY": "nowhere.invalid"}
        asked = docker_llem("run", "s.yaml", "-o", "elsewhere", env=env)
    [line] = [line for line in done.stderr.splitlines() if "ontainer engine" in line]
    assert line.startswith(f"A container engine answers, but has no image {PYTORCH_IMAGE}")
    assert "runs are local" in line
    [launch] = launches(the_study(tmp_path / "results"))
    assert launch["launcher"] == "local"
    assert asked.returncode == 3
    assert f"image_pull: Image nowhere.invalid/{PYTORCH_IMAGE}-cpu cannot be pulled" in asked.stderr
    assert not (tmp_path / "elsewhere").exists()
