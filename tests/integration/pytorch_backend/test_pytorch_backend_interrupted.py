"""What interrupts generation from inside the sign of life comes out of it as what it is."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from tiny_model import Load, prompts_of

from llem_runner.backends.pytorch.backend import PytorchBackend
from llem_runner.contract import FailureKind, RunFailed
from llem_runner.lifeline import Stopped
from llem_runner.power.outcomes import GpuLost

SECTIONS: list[dict[str, Any]] = [
    {},
    {"num_beams": 2},
    {"torch_compile": True, "torch_compile_backend": "eager"},
    {"cache_implementation": "static"},
]


@pytest.mark.parametrize("section", SECTIONS, ids=["plain", "beams", "compiled", "static-cache"])
@pytest.mark.parametrize("error", [Stopped("stopped"), GpuLost("GPU-x is lost")], ids=["stop", "lost"])
def test_a_stop_and_a_lost_gpu_pass_through_the_engine(
    load: Load, section: dict[str, Any], error: BaseException
) -> None:
    backend = load(pytorch=section)

    def on_tokens(_new: int) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        backend.generate(prompts_of(backend, 3), on_tokens)
    assert caught.value is error


def test_claim_22_a_disk_that_fills_up_while_generating_is_kind_disk(load: Load) -> None:
    backend = load()

    def on_tokens(_new: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunFailed) as caught:
        backend.generate(prompts_of(backend, 3), on_tokens)
    assert caught.value.kind is FailureKind.DISK


def test_a_gpu_that_cannot_be_freed_leaves_no_made_files_behind(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    import torch
    from tiny_model import experiment

    backend = PytorchBackend()
    backend.load(experiment("builtin:tiny-llama"), "builtin:tiny-llama", None, 0)
    assert backend._made_files is not None
    made = Path(backend._made_files.name)
    assert made.is_dir()

    def broken() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", broken)
    with pytest.raises(RuntimeError, match="launch failure"):
        backend.unload()
    assert not made.exists()


def test_graphs_are_counted_where_something_is_compiled_and_only_there(load: Load) -> None:
    assert load().compiled_graphs() is None
    backend = load(pytorch={"torch_compile": True, "torch_compile_backend": "eager"})
    before = backend.compiled_graphs()
    backend.generate(prompts_of(backend, 3), lambda _new: None)
    after = backend.compiled_graphs()
    assert before is not None
    assert after is not None
    assert after > before
