"""A runner's result becomes the host's: completed with what only the host knows, and written where it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llem.atomic import write_atomically
from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import Image, ResultWarning


@dataclass(frozen=True)
class HostFacts:
    """What the host knows of a run and its container cannot."""

    experiment_id: str
    cycle: int
    attempt: int
    image: Image = field(default_factory=Image)
    launched: Mapping[str, Any] = field(default_factory=dict)
    """What the launcher knows of the run; goes to `environment.launch`."""
    study: Mapping[str, Any] = field(default_factory=dict)
    """Which version of the study and of llem it was; goes to `environment.study`."""
    warnings: tuple[ResultWarning, ...] = ()


def complete(result: ExperimentResult, facts: HostFacts) -> ExperimentResult:
    """The result as the host keeps it. Whatever the runner wrote of these fields is replaced."""
    environment = dict(result.environment)
    if facts.study:
        environment["study"] = dict(facts.study)
    if facts.launched:
        environment["launch"] = dict(facts.launched)
    return result.model_copy(
        update={
            "experiment_id": facts.experiment_id,
            "cycle": facts.cycle,
            "attempt": facts.attempt,
            "image": facts.image,
            "environment": environment,
            "warnings": (*result.warnings, *facts.warnings),
        }
    )


def write_result(path: Path, result: ExperimentResult) -> None:
    """Write `runs/<run>/result.json` for good: from here on the run is completed. Raises OSError."""
    content = result.model_dump_json(indent=2).encode() + b"\n"
    write_atomically(path, lambda file: file.write(content))
