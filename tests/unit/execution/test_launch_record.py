"""`launch.json` is read back by whoever goes on with the run of a host that died."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.execution.launch_record import LaunchRecord, facts_before, started_before
from llem.launch.protocol import Attempt, Place
from llem_runner.contract import ExperimentConfig

FACTS = {"engine": "Docker 27", "container": {"id": None}}


def test_claim_6_10_the_launchers_facts_and_the_start_are_read_back_and_nothing_else(tmp_path: Path) -> None:
    config = ExperimentConfig(model="builtin:tiny-llama")
    attempt = Attempt("uid", "run", 1, "nonce", tmp_path, tmp_path, config, "builtin:tiny-llama")
    record = LaunchRecord(attempt, "docker", Place("localhost"), "sha256:1", 12.5)
    record.write()
    assert (facts_before(tmp_path), started_before(tmp_path)) == ({}, 12.5)
    record.begun(FACTS).write()
    assert facts_before(tmp_path) == FACTS


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"started_unix_s": "now"}'])
def test_claim_6_10_a_torn_launch_json_says_nothing(tmp_path: Path, text: str) -> None:
    assert (facts_before(tmp_path), started_before(tmp_path)) == ({}, None)
    (tmp_path / "launch.json").write_text(text)
    assert (facts_before(tmp_path), started_before(tmp_path)) == ({}, None)
