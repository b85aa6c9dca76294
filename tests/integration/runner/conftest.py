"""An exchange folder for each test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def exchange(tmp_path: Path) -> Path:
    """An exchange folder with an empty `out/`."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path
