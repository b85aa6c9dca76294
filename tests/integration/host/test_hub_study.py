"""Whole studies with a model of the Hub, run by the real `llem` against a Hub on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import TOKEN, HubRepo, HubServer
from llem_process import TINY, Hosts, journal, llem, the_study, wait_until

from llem_runner.workload.tiny_llama import make_tiny_llama

STUDY = TINY.replace("builtin:tiny-llama", "org/tiny")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama, as a folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_llama(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter for it."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapter")
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(tiny), config).save_pretrained(folder)
    return folder


@pytest.fixture
def hub(tiny: Path) -> Iterator[HubServer]:
    """A Hub that has it, for those whom it was granted."""
    with HubServer() as hub:
        hub.models["org/tiny"] = HubRepo.of_folder(tiny)
        yield hub


def results(study: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(study.glob("runs/*/result.json"))]


def moved_on(hub: HubServer) -> str:
    """The commit of main, after somebody pushed."""
    hub.models["org/tiny"].files["tokenizer_config.json"] += b"\n"
    return hub.models["org/tiny"].commit


def test_claim_10_6_a_gated_model_and_an_adapter_are_run_their_commits_are_in_the_result_and_the_token_nowhere(
    hub: HubServer, adapter: Path, tmp_path: Path
) -> None:
    hub.models["org/tiny"].gated, hub.models["org/tiny"].granted = True, frozenset({TOKEN})
    hub.models["org/lora"] = HubRepo.of_folder(adapter)
    (tmp_path / "study.yaml").write_text(f"{STUDY}revision: main\nlora: {{adapter_id: org/lora}}\n")
    (tmp_path / ".env").write_text(f"HF_TOKEN={TOKEN}\n")
    environment = hub.environment(tmp_path / "hf")
    del environment["HF_TOKEN"]
    done = llem("run", "study.yaml", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    study = the_study(tmp_path / "results")
    [result] = results(study)
    model, lora = (hub.models[name].commit for name in ("org/tiny", "org/lora"))
    assert result["experiment"]["model"] == "org/tiny"
    assert result["environment"]["model"]["revision"] == model
    assert result["environment"]["model"]["adapter"]["revision"] == lora
    assert journal(study)[0]["commits"] == {"org/tiny@main": model, "org/lora@main": lora}
    assert f"Model org/tiny: commit {model[:12]}" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    written = [path for path in study.rglob("*") if path.is_file()]
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]


def test_claim_10_6_a_resumed_study_keeps_its_commit_though_the_branch_has_moved_on(
    hub: HubServer, tmp_path: Path, start_llem: Hosts
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY + "execution: {n_cycles: 2, experiment_gap_seconds: 600}\n")
    environment = hub.environment(tmp_path / "hf")
    host = start_llem("run", "study.yaml", cwd=tmp_path, env=environment)
    study = the_study(tmp_path / "results")
    wait_until("the first run's result", lambda: results(study))
    host.send_signal(signal.SIGINT)
    host.communicate()
    began = hub.models["org/tiny"].commit
    hub.models["org/tiny"].branches[began] = ""
    assert moved_on(hub) != began
    done = llem("run", "--resume", study, "--offline", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert [result["environment"]["model"]["revision"] for result in results(study)] == [began, began]


def test_claim_10_6_offline_takes_what_is_in_the_cache_alone_and_else_ends_with_exit_3(
    hub: HubServer, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    for model in ("org/tiny", "builtin:smollm2-135m"):
        arguments = ("run", "--model", model, "--offline")
        nothing = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = llem(*arguments, cwd=tmp_path, env={**hub.environment(tmp_path / "hf"), **nothing})
        assert done.returncode == 3, done.stderr
        assert f"Model {model} is not in the cache" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()
    assert not hub.asked


def test_claim_10_6_ctrl_c_ends_a_download_at_once_and_leaves_no_process(
    hub: HubServer, tmp_path: Path, start_llem: Hosts
) -> None:

    asked, over = threading.Event(), threading.Event()

    def wait(name: str) -> None:
        if name == "model.safetensors":
            asked.set()
            over.wait(60)

    hub.before_file = wait
    (tmp_path / "study.yaml").write_text(STUDY)
    host = start_llem("run", "study.yaml", cwd=tmp_path, env=hub.environment(tmp_path / "hf"))
    assert asked.wait(60)
    host.send_signal(signal.SIGINT)
    said, _ = host.communicate(timeout=30)
    over.set()
    assert host.returncode == 130
    assert "Interrupted before the first run" in said
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in running.splitlines() if "llem.launch.hub" in line and "org/tiny" in line]


def test_claim_10_6_llem_itself_never_imports_the_client() -> None:
    code = "import sys, llem.cli.run, llem.execution.start; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "llem.launch.hub.fetch" in modules
    assert not modules & {"huggingface_hub", "httpx2", "hf_xet"}


@pytest.mark.parametrize(
    ("key", "value"), [("model", "a/b/c"), ("model", "https://example.org/x"), ("lora", "{adapter_id: a/b/c}")]
)
def test_claim_10_6_what_can_be_no_id_of_the_hub_is_exit_2(tmp_path: Path, key: str, value: str) -> None:
    text = "model: builtin:tiny-llama\n" if key == "lora" else ""
    (tmp_path / "study.yaml").write_text(f"{text}{key}: {value}\n")
    done = llem("run", "study.yaml", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "it is no id of the Hub (they look like org/name)" in done.stderr
