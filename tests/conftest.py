"""What all tests share: the simulated boards, and the user's folders kept out of the way."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest_plugins = ["docker_engine.fixtures", "simulated_nvml.fixtures"]


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Settings and variables of whoever runs the tests decide nothing in them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("LLEM_REGISTRY", raising=False)
    for backend in ("PYTORCH", "VLLM"):
        monkeypatch.delenv(f"LLEM_RUNNER_{backend}", raising=False)
        monkeypatch.delenv(f"LLEM_IMAGE_{backend}", raising=False)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    with _disk(tmp_path / "disk", "64k") as folder:
        yield folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB: room for some small runs."""
    with _disk(tmp_path / "disk", "2m") as folder:
        yield folder


@contextmanager
def _disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        # In CI a missing right is a failure: there nobody reads that a test was skipped.
        assert os.environ.get("CI") != "true", f"CI must be able to mount a tmpfs: {mounted.stderr.decode()}"
        pytest.skip("making a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
