"""Single runs of acted studies: their folders, what they printed, and the word to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

UNTIL_TOLD = """
while not (EXCHANGE / "in" / "go").exists():
    time.sleep(0.05)
"""
"""An act's beginning that waits for `tell`."""


def run_folder(study: Path, sequence: int = 1) -> Path:
    """The folder of a run, by its place in the plan."""
    [folder] = study.glob(f"runs/{sequence:04d}-*")
    return folder


def tell(study: Path, sequence: int = 1) -> None:
    """Let the act of a run go on."""
    (run_folder(study, sequence) / "in" / "go").touch()


def launched(study: Path, sequence: int = 1) -> Any:
    """What `launch.json` says of a run."""
    return json.loads((run_folder(study, sequence) / "launch.json").read_text())


def printed(study: Path, sequence: int = 1) -> str:
    """What a run printed."""
    return (run_folder(study, sequence) / "container.log").read_text()
