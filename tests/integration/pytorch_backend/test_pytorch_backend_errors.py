"""What goes wrong in the pytorch backend: each a kind and a message for the person at the terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_model import Load, experiment, no_sign, prompts_of

from llem_runner.backends.registry import open_backend
from llem_runner.contract import FailureKind, RunFailed


def failure(load: Load, **keys: Any) -> RunFailed:
    with pytest.raises(RunFailed) as caught:
        load(**keys)
    return caught.value


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"gpu_count": 1}, "beside an idle GPU"),
        ({"gpu_count": 1, "device": "cpu"}, "idle GPU"),
        ({"device": "cuda"}, "no GPU was allocated"),
        ({"pytorch": {"load_in_4bit": True}}, "need a CUDA GPU"),
        ({"pytorch": {"load_in_8bit": True}}, "need a CUDA GPU"),
        ({"pytorch": {"prompt_lookup_num_tokens": 3, "batch_size": 2}}, "batch_size: 1"),
        ({"pytorch": {"num_processes": 2}}, "num_processes"),
        ({"passthrough_kwargs": {"no_such_key": 1}}, "passthrough_kwargs.no_such_key"),
        ({"passthrough_kwargs": {"temperature": 2.0}}, "decoder.temperature"),
        ({"passthrough_kwargs": {"num_return_sequences": 2}}, "counted"),
        ({"pytorch": {"torch_compile": True, "torch_compile_backend": "no-such"}}, "torch.compile"),
        ({"pytorch": {"attn_implementation": "flash_attention_2"}}, "package is missing"),
    ],
)
def test_what_this_engine_or_machine_cannot_do_is_a_backend_error(load: Load, keys: dict[str, Any], words: str) -> None:
    error = failure(load, **keys)
    assert error.kind is FailureKind.BACKEND
    assert words in error.message


def test_claim_13_simulated_boards_are_exempt_from_device_truth(folder: Path) -> None:
    backend = open_backend("pytorch")
    backend.load(experiment(folder), str(folder), None, gpu_count=1, simulated=True)
    assert backend.facts().device_used == "cpu"
    assert backend.peak_memory().allocated_bytes is None
    backend.unload()
    backend.unload()


def test_a_missing_model_folder_is_a_model_error(load: Load, tmp_path: Path) -> None:
    error = failure(load, model=tmp_path / "nowhere")
    assert error.kind is FailureKind.MODEL
    assert "no config.json" in error.message


@pytest.mark.parametrize("broken", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_broken_model_file_is_a_model_error(load: Load, folder: Path, tmp_path: Path, broken: str) -> None:
    copy = shutil.copytree(folder, tmp_path / "broken")
    (copy / broken).write_bytes(b"{ torn")
    error = failure(load, model=copy)
    assert error.kind is FailureKind.MODEL
    assert str(copy) in error.message


def test_weights_with_a_gap_are_a_model_error_not_random_numbers(load: Load, folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folder, tmp_path / "gap")
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    error = failure(load, model=copy)
    assert error.kind is FailureKind.MODEL
    assert "lack 1 tensors" in error.message
    assert "model.layers.1.mlp.up_proj.weight" in error.message


def test_claim_21_a_model_that_brings_code_is_a_model_error_unless_trusted(
    load: Load, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "remote")
    config = json.loads((copy / "config.json").read_text())
    auto_map = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": auto_map}))
    (copy / "own.py").write_text("raise SystemExit('this code must not run')\n")
    error = failure(load, model=copy)
    assert error.kind is FailureKind.MODEL
    assert "trust_remote_code: true" in error.message


def test_a_missing_adapter_is_a_model_error(load: Load, tmp_path: Path) -> None:
    nowhere = tmp_path / "adapter"
    nowhere.mkdir()
    error = failure(load, adapter=nowhere, lora={"adapter_path": str(nowhere)})
    assert error.kind is FailureKind.MODEL
    assert str(nowhere) in error.message


def test_chat_with_a_model_without_template_is_a_model_error(load: Load, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "plain")
    (copy / "chat_template.jinja").unlink()
    error = failure(load, model=copy, prompt_format="chat")
    assert error.kind is FailureKind.MODEL
    assert "prompt_format: raw" in error.message


def test_a_chat_template_that_refuses_the_prompt_is_a_model_error(load: Load, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "refusing")
    (copy / "chat_template.jinja").write_text("{{ raise_exception('no user here') }}")
    with pytest.raises(RunFailed, match="no user here") as caught:
        load(model=copy, prompt_format="chat").encode(["Hello"])
    assert caught.value.kind is FailureKind.MODEL


@pytest.mark.parametrize(
    ("name", "words"), [("builtin:smollm2-135m", "was not prepared"), ("builtin:nothing", "no builtin model")]
)
def test_a_builtin_model_that_is_not_there_is_a_model_error(name: str, words: str) -> None:
    with pytest.raises(RunFailed, match=words) as caught:
        open_backend("pytorch").load(experiment(name), name, None, gpu_count=0)
    assert caught.value.kind is FailureKind.MODEL


def test_what_fails_while_generating_is_an_inference_error(load: Load) -> None:
    backend = load()
    with pytest.raises(RunFailed, match="Generating failed") as caught:
        backend.generate([[100_000]], no_sign)
    assert caught.value.kind is FailureKind.INFERENCE


def test_an_error_out_of_on_tokens_keeps_its_own_kind(load: Load) -> None:
    backend = load()

    def stop(_new_tokens: int) -> None:
        raise RunFailed(FailureKind.INTERRUPTED, "asked to stop")

    with pytest.raises(RunFailed, match="asked to stop") as caught:
        backend.generate(prompts_of(backend, 5), stop)
    assert caught.value.kind is FailureKind.INTERRUPTED


def test_a_prompt_without_tokens_is_an_inference_error(folder: Path, tmp_path: Path, load: Load) -> None:
    copy = shutil.copytree(folder, tmp_path / "no-begin")
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    (copy / "tokenizer.json").write_text(json.dumps({**tokenizer, "post_processor": None}))
    with pytest.raises(RunFailed, match="Prompt 2 has no tokens") as caught:
        load(model=copy).encode(["something", ""])
    assert caught.value.kind is FailureKind.INFERENCE


def test_nothing_loaded_is_an_error_and_unloading_it_is_not() -> None:
    backend = open_backend("pytorch")
    backend.unload()
    with pytest.raises(RunFailed, match="No model is loaded"):
        backend.generate([[1]], no_sign)
