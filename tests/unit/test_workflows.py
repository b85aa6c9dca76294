"""`.github/workflows`: when they run, and that each step is a command that anybody can run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").iterdir()}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
# YAML 1.1 reads the key `on` as true.
ON = True


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in WORKFLOWS[name]["jobs"].values():
        yield from job["steps"]


def commands(name: str) -> list[str]:
    return [step["run"] for step in steps(name) if "run" in step]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_claim_10_11_every_step_is_a_make_target_that_runs_anywhere(name: str) -> None:
    assert commands(name)
    for command in commands(name):
        assert re.fullmatch(r"make [a-z-]+", command), command
        assert command.split()[1] in TARGETS


@pytest.mark.parametrize("name", WORKFLOWS)
def test_claim_10_11_actions_are_named_by_commit_and_are_given_no_more_than_they_need(name: str) -> None:
    for step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in WORKFLOWS[name]["jobs"].values())


def test_claim_10_11_every_push_is_linted_and_tested() -> None:
    assert WORKFLOWS["tests"][ON]["push"] == {"branches": ["**"]}
    assert commands("tests") == ["make lint", "make test"]


def test_claim_10_11_gpu_tests_run_on_runners_of_our_own_and_never_for_strangers() -> None:
    [job] = WORKFLOWS["gpu"]["jobs"].values()
    assert job["runs-on"] == ["self-hosted", "linux", "gpu"]
    assert "pull_request" not in WORKFLOWS["gpu"][ON]
    assert commands("gpu") == ["make test-gpu"]


def test_claim_10_11_a_tag_sends_both_variants_of_the_images_to_a_registry() -> None:
    assert WORKFLOWS["images"][ON] == {"push": {"tags": ["v*"]}}
    [job] = WORKFLOWS["images"]["jobs"].values()
    assert job["strategy"]["matrix"] == {"variant": ["cpu", "cuda"]}
    assert job["steps"][-1]["run"] == "make push"
    assert set(job["steps"][-1]["env"]) == {"REGISTRY", "VARIANT", "TAG"}
