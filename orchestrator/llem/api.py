"""The public API: load, run, and get typed results. What the command line does, without the printing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llem.errors import LlemError, UsageError
from llem.execution.observer import Observer
from llem.execution.start import StudyEnd, resume_study, start_study
from llem.results.study_result import StudyResult
from llem.study import Study, StudyOverrides, study_of
from llem.study import load_study as _load
from llem.study.study import with_overrides
from llem.study.study_keys import CycleOrder
from llem_runner.contract import ExperimentConfig, ExperimentResult


class ExperimentFailed(LlemError):
    """The one run of `run_experiment` did not complete; the message has its kind and words."""


def load_study(path: str | Path) -> Study:
    """Read and check a study file. Raises UsageError that holds all of its errors."""
    return _load(Path(path))


def run_study(
    study: Study | str | Path,
    *,
    output: str | Path | None = None,
    cycles: int | None = None,
    order: CycleOrder | None = None,
    no_gaps: bool = False,
    observer: Observer | None = None,
) -> StudyResult:
    """Run a study in a new folder below `output`, or go on with it where `study` is a study folder.

    Returns what completed and what failed: a failed run is in `.failures` and raises nothing. Raises UsageError or
    NotReadyError where nothing could be started, KeyboardInterrupt where somebody pressed Ctrl-C: once the folder is
    in order, from where it can go on.
    """
    watching = observer or Observer()
    overrides = StudyOverrides(cycles, order, no_gaps, str(output) if output else None)
    if isinstance(study, Study):
        return _result(start_study(with_overrides(study, overrides), watching))
    if Path(study).is_dir():
        if overrides != StudyOverrides():
            raise UsageError(f"{study} is a study that began before: its plan cannot be changed any more.")
        return _result(resume_study(Path(study), watching))
    return _result(start_study(_load(Path(study), overrides), watching))


def run_experiment(
    config: ExperimentConfig | None = None, *, output: str | Path | None = None, **keys: Any
) -> ExperimentResult:
    """Run one experiment once, from a configuration or from experiment keys (`model="…", n=10, …`).

    Raises ExperimentFailed where the run did not complete, UsageError for unusable keys.
    """
    if (config is None) == (not keys):
        raise UsageError("run_experiment takes an ExperimentConfig, or experiment keys (model=…), one of the two.")
    experiment = config.model_dump(exclude_defaults=True) if config is not None else keys
    overrides = StudyOverrides(output_folder=str(output) if output else None)
    study = study_of(experiment, name="experiment", overrides=overrides)
    result = _result(start_study(study, Observer()))
    if not result.results:
        failure = result.failures[0]
        raise ExperimentFailed(f"{failure.kind}: {failure.message}")
    return result.results[0]


def _result(end: StudyEnd) -> StudyResult:
    """The result of a study. A Ctrl-C that ended it in order is still one for the program around it."""
    if end.reason == "interrupted":
        raise KeyboardInterrupt(f"the study was interrupted; go on with run_study({str(end.folder)!r})")
    return end.result
