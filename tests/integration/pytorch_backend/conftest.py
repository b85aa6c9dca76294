"""One tiny model and one backend for each module of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_model import Load, experiment

from llem_runner.backends.protocol import Backend
from llem_runner.backends.registry import open_backend
from llem_runner.workload.tiny_llama import make_tiny_llama


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """A tiny model gains nothing from threads, and on a busy machine their waiting for each other takes minutes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """builtin:tiny-llama as a folder."""
    made = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_llama(made)
    return made


@pytest.fixture(scope="module")
def load(folder: Path) -> Iterator[Load]:
    """Loads the tiny model (or another folder) with the given keys."""
    backend = open_backend("pytorch")

    def _load(model: Path = folder, adapter: Path | None = None, gpu_count: int = 0, **keys: Any) -> Backend:
        backend.load(experiment(model, **keys), str(model), str(adapter) if adapter else None, gpu_count)
        return backend

    yield _load
    backend.unload()
