"""The tiny model as a folder: vLLM takes no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem_runner.workload.tiny_llama import make_tiny_llama


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """builtin:tiny-llama as a folder."""
    made = tmp_path_factory.mktemp("vllm-models") / "tiny"
    make_tiny_llama(made)
    return made
