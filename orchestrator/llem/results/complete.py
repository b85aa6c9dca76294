"""A runner's result becomes the host's: completed with what only the host knows, and written where it counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llem.atomic import write_atomically
from llem.printable import json_for_terminal
from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import Image, Quality, ResultWarning
from llem_runner.metrics import quality


@dataclass(frozen=True)
class HostFacts:
    """What the host knows of a run and its container cannot."""

    experiment_id: str
    cycle: int
    attempt: int
    image: Image = field(default_factory=Image)
    launched: Mapping[str, Any] = field(default_factory=dict)
    """What the launcher knows of the run; goes to `environment.launch`."""
    strangers: int | None = None
    """Processes of others that the host saw on the run's GPUs, by their ids; None where it cannot tell."""
    study: Mapping[str, Any] = field(default_factory=dict)
    """Which version of the study and of llem it was; goes to `environment.study`."""
    warnings: tuple[ResultWarning, ...] = ()


def complete(result: ExperimentResult, facts: HostFacts) -> ExperimentResult:
    """The result as the host keeps it. Whatever the runner wrote of these fields is replaced.

    What the host knows of foreign processes completes the runner's check, and the level follows from all of them.
    """
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
            "quality": _quality(result, facts.strangers),
            "warnings": (*_warnings(result, facts.strangers), *facts.warnings),
        }
    )


def _quality(result: ExperimentResult, strangers: int | None) -> Quality:
    if strangers is None:
        return result.quality
    checks = quality.with_foreign_processes(result.quality.checks, strangers)
    return Quality(level=quality.level(checks, result.energy), checks=checks)


def _warnings(result: ExperimentResult, strangers: int | None) -> Iterator[ResultWarning]:
    """The runner's; what it could not tell and the host can is told by the host."""
    yield from (one for one in result.warnings if strangers is None or one.code != "foreign_processes_unknown")
    if strangers:
        yield ResultWarning(
            code="foreign_processes",
            message=f"{strangers} processes of others computed on the run's GPUs: their work is in its energy.",
        )


def write_result(path: Path, result: ExperimentResult) -> None:
    """Write `runs/<run>/result.json` for good: from here on the run is completed. Raises OSError."""
    content = json_for_terminal(result.model_dump_json(indent=2)).encode() + b"\n"
    write_atomically(path, lambda file: file.write(content))
