"""A model of the Hub in a hardened container: seen through the links of the cache, with no network and no token."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acted import BUSY, acts, container_of, endings
from acted_runs import run_folder
from docker_engine import Engine
from hub_server import TOKEN, HubRepo, HubServer
from llem_process import TINY, Hosts, llem, the_study, wait_for_phase

from llem_runner.workload.tiny_llama import make_tiny_llama

LOOK = "print(json.dumps(dict(os.environ)), flush=True)"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """A Hub that has the tiny Llama for one token."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_llama(folder)
    with HubServer() as hub:
        hub.models["org/tiny"] = HubRepo.of_folder(folder)
        hub.models["org/tiny"].gated, hub.models["org/tiny"].granted = True, frozenset({TOKEN})
        yield hub


@pytest.fixture(scope="module")
def environment(hub: HubServer, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a llem that asks this Hub, with its token, and this engine; one cache for all tests here."""
    return {"DOCKER_HOST": engine.host, **hub.environment(tmp_path_factory.mktemp("hf"), HF_TOKEN=TOKEN)}


def test_claim_10_6_a_hub_model_is_loaded_by_the_real_engine_in_a_hardened_container(
    hub: HubServer, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(TINY.replace("builtin:tiny-llama", "org/tiny") + "device: cpu\n")
    done = llem("run", "study.yaml", cwd=tmp_path, env={**environment, "LLEM_RUNNER_PYTORCH": "docker"})
    study = the_study(tmp_path / "results")
    assert (done.returncode, endings(study)) == (0, [("completed", "")]), done.stderr
    commit = hub.models["org/tiny"].commit
    allocation = json.loads((run_folder(study) / "in" / "allocation.json").read_text())
    assert allocation["model_path"] == f"/model/snapshots/{commit}"
    result = json.loads((run_folder(study) / "result.json").read_text())
    assert result["environment"]["model"]["revision"] == commit


def test_claim_10_6_the_token_reaches_neither_a_containers_environment_and_labels_nor_logs_and_results(
    client: Any, actor: str, environment: dict[str, str], tmp_path: Path, start_llem: Hosts
) -> None:
    (tmp_path / "study.yaml").write_text(acts(LOOK + BUSY, model="org/tiny"))
    host = start_llem("run", "study.yaml", cwd=tmp_path, env=environment)
    study = the_study(tmp_path / "results")
    wait_for_phase(study, 1, "measure")
    described = json.dumps(container_of(client, study, 1).attrs)
    host.terminate()
    said, _ = host.communicate(timeout=60)
    seen = json.loads((run_folder(study) / "container.log").read_text().splitlines()[0])
    assert seen["HF_HUB_OFFLINE"] == "1"
    assert f"{os.sep}model" in described
    written = [path for path in study.rglob("*") if path.suffix in (".json", ".jsonl", ".log")]
    everything = [described, said, *(path.read_text() for path in written)]
    assert not [text for text in everything if TOKEN in text]
