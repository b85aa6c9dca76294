"""The pytest fixture `simulated_nvml`: boards for one test."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from .board import h100
from .library import LibraryNotBuilt, build_library, simulated_environment
from .settings import Settings, replace_text


@dataclass(frozen=True)
class SimulatedNvml:
    """A library and its settings file. `env` is what to add to the environment of the program under test."""

    library: Path
    config: Path
    env: dict[str, str]

    def write(self, settings: Settings | str) -> None:
        """Put new settings in force; a running process follows within some 5 ms."""
        replace_text(self.config, settings if isinstance(settings, str) else settings.text())


@pytest.fixture
def simulated_nvml(tmp_path: Path) -> SimulatedNvml:
    """One H100 at a constant 300 W, until the test writes other settings.

    Where there is no compiler the test is skipped; with CI set it fails.
    """
    try:
        library = build_library()
    except LibraryNotBuilt as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    config = tmp_path / "nvml.conf"
    simulated = SimulatedNvml(library, config, simulated_environment(config))
    simulated.write(Settings(boards=(h100(),)))
    return simulated
