"""Claim 3 of issue 5: the study's own keys, the user's settings, and which of them holds."""

# ruff: noqa: E501 (tables: one case a line)

from __future__ import annotations

from pathlib import Path

import pytest

from llem.errors import UsageError
from llem.study import StudyFileError, parse_study
from llem.study.settings import (
    UserSettings,
    effective_output,
    effective_places,
    load_settings,
    need_docker,
    parse_settings,
    settings_path,
)
from llem.study.study_keys import size_in_bytes

M = "model: x\nbackend: [pytorch, vllm]\n"
SETTINGS = """
runners: {pytorch: local, vllm: "docker:from-settings"}
images: {pytorch: {image: settings-image, pull: never}}
output: {folder: /data/results}
calibration:
  GPU-8f2c: {factor: 0.96, uncertainty_percent: 0.5, source: power meter}
"""


def test_claim_5_3_every_key_of_the_study_is_read_with_its_default() -> None:
    study = parse_study("model: x\n", source="s.yaml")
    assert study.execution.model_dump() == {
        "n_cycles": 1,
        "cycle_order": "sequential",
        "shuffle_seed": None,
        "experiment_gap_seconds": 0,
        "cycle_gap_seconds": 0,
        "timeout_seconds": None,
        "load_timeout_seconds": 1800,
        "stall_seconds": 300,
        "max_consecutive_failures": 10,
        "wall_clock_limit_hours": None,
        "gpus": None,
        "parallel": "off",
        "gate": None,
        "on_complete": None,
        "skip_preflight": False,
    }
    assert study.docker.model_dump() == {
        "gpu_driver": "auto",
        "memory_limit": None,
        "shm_size": "8g",
        "network": "none",
    }
    assert study.output.model_dump() == {"folder": "results", "save_timeline": True}
    assert (study.runners["pytorch"].kind, study.images["pytorch"].image) == ("auto", None)
    assert study.images["pytorch"].pull == "missing"


def test_claim_5_3_every_key_of_the_study_is_read_as_written() -> None:
    text = (
        M
        + """
version: "2024-01 draft"
runners: {pytorch: local, vllm: "docker:vllm/vllm-openai:v0.33.0"}
images: {pytorch: {image: a, pull: always}}
docker: {gpu_driver: cdi, memory_limit: 1.5GiB, shm_size: 1073741824, network: host}
output: {folder: elsewhere, save_timeline: no}
execution: {gpus: [0, GPU-1], parallel: gpus, gate: {band_c: 2.5, max_wait_seconds: 60}, on_complete: "notify me",
  skip_preflight: yes, shuffle_seed: 0, wall_clock_limit_hours: 0.5}
"""
    )
    study = parse_study(text, source="s.yaml")
    assert study.version == "2024-01 draft"
    assert (study.runners["vllm"].kind, study.runners["vllm"].image) == ("docker", "vllm/vllm-openai:v0.33.0")
    assert (study.images["pytorch"].image, study.images["pytorch"].pull) == ("a", "always")
    assert study.docker.shm_size == "1073741824"
    assert (study.docker.memory_limit, study.output.save_timeline) == ("1.5GiB", False)
    assert study.execution.gpus == (0, "GPU-1")
    assert study.execution.gate is not None
    assert (study.execution.gate.band_c, study.execution.shuffle_seed) == (2.5, 0)


SIZES = {"8g": 8 << 30, "512m": 512 << 20, "1.5GiB": 3 << 29, "64k": 65536, "100": 100, "2 GB": 2 << 30, "1T": 1 << 40}


@pytest.mark.parametrize("text", SIZES)
def test_claim_5_3_sizes_are_dockers(text: str) -> None:
    assert size_in_bytes(text) == SIZES[text]


@pytest.mark.parametrize("text", ["", "g", "8x", "-1g", "0", "1e3", "8 g g", "eight"])
def test_claim_5_3_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is"):
        size_in_bytes(text)


def test_claim_5_3_environment_goes_before_study_before_settings_before_defaults() -> None:
    settings = parse_settings(SETTINGS, "config.yaml")
    bare = parse_study(M, source="s.yaml")
    written = parse_study(M + "runners: {pytorch: docker}\nimages: {vllm: study-image}\n", source="s.yaml")
    environment = {"LLEM_RUNNER_VLLM": "local", "LLEM_IMAGE_PYTORCH": "env-image"}

    places = effective_places(bare, UserSettings(), {})
    assert {(p.runner, p.image, p.pull, p.runner_from, p.image_from) for p in places.values()} == {
        ("auto", None, "missing", "default", "default")
    }
    places = effective_places(bare, settings, {})
    pytorch, vllm = places["pytorch"], places["vllm"]
    assert (pytorch.runner, pytorch.image, pytorch.pull) == ("local", "settings-image", "never")
    assert (vllm.runner, vllm.image, vllm.image_from) == ("docker", "from-settings", "user settings")

    places = effective_places(written, settings, {})
    pytorch, vllm = places["pytorch"], places["vllm"]
    assert (pytorch.runner, pytorch.runner_from, pytorch.image) == ("docker", "study", "settings-image")
    assert (vllm.runner, vllm.image, vllm.image_from) == ("docker", "study-image", "study")

    places = effective_places(written, settings, environment)
    pytorch, vllm = places["pytorch"], places["vllm"]
    assert (pytorch.runner, pytorch.image, pytorch.image_from) == ("docker", "env-image", "environment")
    assert (vllm.runner, vllm.runner_from, vllm.image) == ("local", "environment", "study-image")


def test_claim_5_3_output_of_the_study_goes_before_the_settings() -> None:
    settings = parse_settings(SETTINGS, "config.yaml")
    bare = parse_study(M, source="s.yaml")
    assert effective_output(bare, settings).folder == "/data/results"
    written = parse_study(M + "output: {folder: results}\n", source="s.yaml")
    assert effective_output(written, settings).folder == "results"
    assert effective_output(bare, UserSettings()).folder == "results"


def test_claim_5_3_variables_that_cannot_be_understood_are_usage_errors() -> None:
    study = parse_study(M, source="s.yaml")
    with pytest.raises(UsageError, match="LLEM_RUNNER_VLLM: 'remote' is none of local, docker, auto, docker:IMAGE"):
        effective_places(study, UserSettings(), {"LLEM_RUNNER_VLLM": "remote"})
    both = {"LLEM_RUNNER_VLLM": "docker:a", "LLEM_IMAGE_VLLM": "b"}
    with pytest.raises(UsageError, match="LLEM_RUNNER_VLLM and LLEM_IMAGE_VLLM both name an image"):
        effective_places(study, UserSettings(), both)


def test_claim_5_3_two_backends_need_docker_unless_each_is_local_by_hand() -> None:
    def needed(text: str, environment: dict[str, str]) -> tuple[str, ...]:
        return need_docker(effective_places(parse_study(text, source="s.yaml"), UserSettings(), environment))

    assert needed(M, {}) == ("pytorch", "vllm")
    assert needed(M + "runners: {pytorch: local}\n", {}) == ("vllm",)
    assert needed(M + "runners: {pytorch: local, vllm: local}\n", {}) == ()
    assert needed(M, {"LLEM_RUNNER_PYTORCH": "local", "LLEM_RUNNER_VLLM": "docker"}) == ()
    assert needed("model: x\n", {}) == ()


def test_claim_5_3_the_settings_file_is_found_by_xdg(tmp_path: Path) -> None:
    assert settings_path({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == Path("/x/llem/config.yaml")
    assert settings_path({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}) == Path("/h/.config/llem/config.yaml")
    assert settings_path({"HOME": "/h"}) == Path("/h/.config/llem/config.yaml")
    assert load_settings(tmp_path / "none.yaml") == UserSettings()
    path = tmp_path / "config.yaml"
    path.write_text(SETTINGS)
    board = load_settings(path).calibration["GPU-8f2c"]
    assert (board.factor, board.uncertainty_percent, board.source) == (0.96, 0.5, "power meter")
    path.write_text("# nothing yet\n")
    assert load_settings(path) == UserSettings()
    with pytest.raises(UsageError, match=r"the user settings cannot be read"):
        load_settings(tmp_path)


WRONG = {
    "runers: {}": "c.yaml:1:1: unknown key 'runers' (did you mean 'runners'?)",
    "runners: {pytorch: dokcer}": "c.yaml:1:20: runners.pytorch: 'dokcer' is none of",
    "runners: {pytroch: docker}": "c.yaml:1:11: unknown key 'pytroch' in runners (did you mean 'pytorch'?)",
    "runners: {pytorch: 'docker:a'}\nimages: {pytorch: b}": "c.yaml:2:10: images.pytorch: runners.pytorch names an image",
    "calibration: {GPU-1: {factor: 0, uncertainty_percent: 1, source: x}}": "GPU-1.factor: expected a number > 0, found",
    "calibration: {GPU-1: {factor: 1}}": "c.yaml:1:22: calibration.GPU-1: uncertainty_percent, source is missing",
    "calibration: [1]": "c.yaml:1:14: calibration: expected a mapping, found a list",
    "calibration: {GPU-1: 5}": "c.yaml:1:22: calibration.GPU-1: expected a mapping, found the number 5",
    'calibration: {"\\e[31m\\n": 5}': "c.yaml:1:27: calibration.\\x1b[31m\\n: expected a mapping",
    "output: {folder: 5}": "c.yaml:1:18: output.folder: expected text, found the number 5",
    "execution: {}": "c.yaml:1:1: unknown key 'execution'",
    "- 1": "c.yaml:1:1: the settings have to be a mapping of keys",
    "a: [": "c.yaml:2:1: YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_claim_5_3_errors_of_the_settings_file_have_their_place_too(text: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        parse_settings(text + "\n", "c.yaml")
    assert WRONG[text] in str(caught.value)
