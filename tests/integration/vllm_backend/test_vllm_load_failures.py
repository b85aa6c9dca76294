"""What the real vLLM refuses to load: kind, words, and that nothing of it is left."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiny_engine import ENDS_AN_ENGINE, experiment
from vllm_processes import engines_of

from llem_runner.backends.protocol import Backend
from llem_runner.backends.registry import open_backend
from llem_runner.contract import FailureKind, RunFailed

pytestmark = ENDS_AN_ENGINE
ENOUGH = {"kv_cache_memory_bytes": 2**24}
Refused = Callable[..., RunFailed]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    backend = open_backend("vllm")
    yield backend
    backend.unload()
    # Here, and not in a test that follows: what vLLM leaves of a load that failed warns when it is freed.
    gc.collect()


@pytest.fixture
def refused(backend: Backend) -> Refused:
    """The failure of a load with these keys."""

    def _refused(model: Path, engine: dict[str, Any] | None = None, **keys: Any) -> RunFailed:
        with pytest.raises(RunFailed) as caught:
            backend.load(experiment(model, {**ENOUGH, **(engine or {})}, **keys), str(model), None, 0)
        assert engines_of(psutil.Process()) == [], "a process of the engine is left"
        return caught.value

    return _refused


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The tiny model, to be spoiled."""
    return Path(shutil.copytree(folder, tmp_path / "spoiled"))


def test_bad_days_weights_that_are_cut_off_are_kind_model_and_named(refused: Refused, copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    failed = refused(copy)
    assert failed.kind is FailureKind.MODEL
    assert str(copy) in failed.message
    assert "file not fully covered" in failed.message


def test_bad_days_a_matrix_that_is_missing_is_kind_model_although_vllm_would_go_on_without(
    refused: Refused, copy: Path
) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    failed = refused(copy)
    assert failed.kind is FailureKind.MODEL
    assert "lack 1 tensors of its configuration (model.layers.1.mlp.down_proj.weight, …)" in failed.message


def test_bad_days_an_architecture_that_vllm_lacks_is_kind_model_in_a_line_that_can_be_read(
    refused: Refused, copy: Path
) -> None:
    path = copy / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "architectures": ["NoSuchForCausalLM"]}))
    failed = refused(copy)
    assert failed.kind is FailureKind.MODEL
    assert "['NoSuchForCausalLM'] are not supported" in failed.message
    assert len(failed.message) < 600


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ({"quantization": "fp8"}, "torch.float32 is not supported for quantization method fp8"),
        ({"quantization": "bitsandbytes"}, "Unknown quantization method: bitsandbytes"),
        ({"tensor_parallel_size": 3}, "must be divisible by tensor parallel size"),
        ({"max_model_len": 2**20}, "Lower vllm.engine.max_model_len"),
    ],
    ids=["precision", "quantisation", "parallelism", "length"],
)
def test_bad_days_what_the_engine_cannot_do_is_kind_backend(
    refused: Refused, folder: Path, engine: dict[str, Any], says: str
) -> None:
    failed = refused(folder, engine)
    assert failed.kind is FailureKind.BACKEND
    assert says in failed.message


def test_bad_days_a_kv_cache_too_small_for_one_request_is_kind_accelerator_oom_and_says_what_to_set(
    refused: Refused, folder: Path
) -> None:
    failed = refused(folder, {"kv_cache_memory_bytes": 2**19, "max_model_len": 1024})
    assert failed.kind is FailureKind.ACCELERATOR_OOM
    assert "The KV cache has no room for one request of full length" in failed.message
    assert "vllm.engine.max_model_len" in failed.message


def test_bad_days_more_memory_than_there_is_is_kind_accelerator_oom_and_says_what_to_set(
    refused: Refused, folder: Path
) -> None:
    failed = refused(folder, {"kv_cache_memory_bytes": 2**45})
    assert failed.kind is FailureKind.ACCELERATOR_OOM
    assert "32768.0 GiB" in failed.message
    assert "kv_cache_memory_bytes" in failed.message
