"""`launch.json` is read back by whoever goes on with the run of a host that died."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.execution.launch_record import LaunchRecord, Left, read_launch
from llem.launch.protocol import Attempt, Place
from llem_runner.contract import ExperimentConfig

FACTS = {"engine": "Docker 27", "container": {"id": None}}


def test_claim_6_10_a_launch_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    config = ExperimentConfig(model="m")
    image = {"image": "an-image:1", "digest": "sha256:1"}
    attempt = Attempt("uid", "run", 1, "nonce", tmp_path, tmp_path, config, "/models/m", "/models/a", **image)
    record = LaunchRecord(attempt, "docker", Place("localhost"), 12.5, {"GPU-1": 7})
    record.write()
    left = read_launch(tmp_path)
    assert (left.image, left.digest) == ("an-image:1", "sha256:1")
    assert (left.model_path, left.adapter_path) == ("/models/m", "/models/a")
    assert (left.started_unix_s, left.memory_before_bytes, left.facts) == (12.5, {"GPU-1": 7}, {})
    record.begun(FACTS).write()
    assert read_launch(tmp_path).facts == FACTS


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"started_unix_s": "now", "memory_before_bytes": 1, "image": 3, "digest": []}']
)
def test_claim_6_10_a_torn_launch_json_says_nothing(tmp_path: Path, text: str) -> None:
    nothing = Left(None, None, None, "", None, {}, {})
    assert read_launch(tmp_path) == nothing
    (tmp_path / "launch.json").write_text(text)
    assert read_launch(tmp_path) == nothing
