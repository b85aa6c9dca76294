"""No test of this room leases a GPU of the machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from llem.launch.gpu_lease import leased


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own for the leases."""
    folder = tmp_path / "locks"
    monkeypatch.setattr("llem.execution.gpu_use.leased", partial(leased, folder=folder))
    return folder
