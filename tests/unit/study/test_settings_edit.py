"""Settings written into a file: everything else in it stays, and nothing is written that would not be read."""

from __future__ import annotations

import pytest

from llem.errors import UsageError
from llem.study.effective_settings import effective_settings
from llem.study.settings import UserSettings, parse_settings
from llem.study.settings_edit import with_settings

FILE = "config.yaml"
MINE = """\
# where my runs go
output:   # kept
  folder: "/data/results"   # the big disk
runners: {pytorch: local}
"""


def test_claim_10_10_a_setting_is_written_and_comments_order_and_quotes_stay() -> None:
    edited = with_settings(MINE, FILE, {"runners.pytorch": "docker"})
    assert edited == MINE.replace("local", "docker")


def test_claim_10_10_a_file_of_nothing_but_comments_keeps_them() -> None:
    edited = with_settings("# mine\n", FILE, {"output.save_timeline": "false"})
    assert edited == "# mine\noutput:\n  save_timeline: false\n"


def test_claim_10_10_what_is_written_is_what_is_read() -> None:
    changes = {
        "calibration.GPU-1.factor": "0.96",
        "calibration.GPU-1.uncertainty_percent": "0.5",
        "calibration.GPU-1.source": "power meter",
        "images.vllm": "registry/vllm:1",
    }
    settings = parse_settings(with_settings("", FILE, changes), FILE)
    assert settings.calibration["GPU-1"].model_dump() == {
        "factor": 0.96,
        "uncertainty_percent": 0.5,
        "source": "power meter",
    }
    assert settings.images["vllm"].image == "registry/vllm:1"


def test_claim_10_10_null_takes_a_setting_out() -> None:
    settings = parse_settings(with_settings(MINE, FILE, {"output.folder": "null"}), FILE)
    assert settings.output.model_fields_set == set()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("runners.pytorch", "dokcer", "none of local, docker, auto"),
        ("output.save_timeline", "perhaps", "output.save_timeline"),
        ("calibration.GPU-1.factor", "1.0", "uncertainty_percent"),
        ("runners", "local", "runners holds other settings"),
        ("calibration.GPU-1", "1", "holds other settings"),
        ("runners.tensorrt", "local", "is no setting"),
        ("output.", "x", "is no setting"),
        ("", "x", "is no setting"),
        ("output.folder", "[", "is no YAML value"),
        ("output.folder", "{a: 1}", "output.folder"),
    ],
)
def test_claim_10_10_what_would_not_be_read_is_not_written(key: str, value: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace(".", r"\.")):
        with_settings(MINE, FILE, {key: value})


def test_claim_10_10_a_file_that_is_wrong_already_is_said_to_be_so() -> None:
    with pytest.raises(UsageError, match="colour"):
        with_settings("colour: red\n", FILE, {"output.folder": "x"})


def test_claim_10_10_every_setting_is_shown_with_who_says_so() -> None:
    settings = parse_settings("output: {folder: /d}\nimages: {vllm: {image: a, pull: never}}\n", FILE)
    environment = {"LLEM_RUNNER_PYTORCH": "docker:b"}
    shown = {each.key: (each.value, each.source, each.variable) for each in effective_settings(settings, environment)}
    assert shown == {
        "runners.pytorch": ("docker", "environment", "LLEM_RUNNER_PYTORCH"),
        "images.pytorch.image": ("b", "environment", "LLEM_RUNNER_PYTORCH"),
        "images.pytorch.pull": ("missing", "default", None),
        "runners.vllm": ("auto", "default", None),
        "images.vllm.image": ("a", "user settings", None),
        "images.vllm.pull": ("never", "user settings", None),
        "output.folder": ("/d", "user settings", None),
        "output.save_timeline": (True, "default", None),
    }


def test_claim_10_10_without_a_file_every_setting_is_a_default() -> None:
    assert {each.source for each in effective_settings(UserSettings(), {})} == {"default"}
