"""The pytorch image on the test engine: it probes and it measures, hardened as every run is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from docker_engine import PYTORCH_IMAGE, SimulatedGpus
from engine_containers import HARDENED_VARIABLES, gpus, ran, read_only
from simulated_nvml import h100

from llem_runner.contract import CONTRACT_VERSION, ExperimentResult

NONCE = "n" * 32
CONTAINER_USER = 65532
SECOND = h100(1).uuid
EXPERIMENT = {
    "model": "builtin:tiny-llama",
    "precision": "fp32",
    "n": 2,
    "max_output_tokens": 16,
    "warmup": {"enabled": False},
    "energy": {"min_window_seconds": 1},
    "baseline": {"duration_seconds": 1},
}


@pytest.fixture
def exchange(tmp_path: Path) -> Path:
    """An exchange folder whose `out/` belongs to the container's user."""
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "out", CONTAINER_USER, CONTAINER_USER)
    order = {
        "contract_version": CONTRACT_VERSION,
        "run_id": "abc-c1",
        "attempt": 1,
        "nonce": NONCE,
        "experiment": EXPERIMENT,
    }
    allocation = {"host": "h", "model_path": EXPERIMENT["model"], "gpu_uuids": [SECOND]}
    (tmp_path / "in" / "experiment.json").write_text(json.dumps(order))
    (tmp_path / "in" / "allocation.json").write_text(json.dumps(allocation))
    (tmp_path / "in" / "prompts.jsonl").write_text('{"text": "Hello there"}\n{"text": "Name a planet."}\n')
    return tmp_path


def test_claim_6_2_the_probe_in_the_pytorch_image_lists_the_gpu_it_was_given(
    client: Any, engine_gpus: SimulatedGpus
) -> None:
    options = {"entrypoint": ["python3", "-m", "llem_runner"], "device_requests": gpus(SECOND)}
    ended = ran(client, PYTORCH_IMAGE, ["probe"], environment=HARDENED_VARIABLES, **options)
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.output)
    assert found["nvml"] == {"outcome": "ok", "message": None}
    assert [(gpu["uuid"], gpu["simulated"]) for gpu in found["gpus"]] == [(SECOND, True)]


def test_claim_6_1_the_probe_in_the_pytorch_image_without_gpus_says_that_there_are_none(client: Any) -> None:
    ended = ran(client, PYTORCH_IMAGE, ["probe"], environment=HARDENED_VARIABLES)
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.output)
    assert found["gpus"] == []
    assert found["nvml"]["outcome"] != "ok"


def test_claim_6_1_the_pytorch_image_runs_and_measures_a_tiny_llama_hardened(
    client: Any, engine_gpus: SimulatedGpus, exchange: Path
) -> None:
    volumes = read_only((exchange / "in", "/exchange/in"))
    volumes[str(exchange / "out")] = {"bind": "/exchange/out", "mode": "rw"}
    options = {"environment": HARDENED_VARIABLES, "volumes": volumes, "device_requests": gpus(SECOND)}
    ended = ran(client, PYTORCH_IMAGE, ["/exchange"], **options)
    assert ended.exit_code == 0, ended.output
    result = ExperimentResult.model_validate_json((exchange / "out" / "result.json").read_bytes())
    assert (result.nonce, result.run_id, result.simulated) == (NONCE, "abc-c1", True)
    assert result.tokens.output > 0
    assert result.energy.source == "nvml"
    assert [device.uuid for device in result.energy.devices] == [SECOND]
    assert result.energy.lower_j is not None
    assert result.energy.upper_j is not None
    # The board draws 300 W, whatever is computed.
    assert result.energy.lower_j <= 300.0 * result.window.duration_s <= result.energy.upper_j
    assert {path.stat().st_uid for path in (exchange / "out").iterdir()} == {CONTAINER_USER}
