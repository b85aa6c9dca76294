"""What was decided when a study began: the `study_started` line of its journal, from which alone it can go on."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from llem.errors import NotReadyError
from llem.execution.git_commit import GitCommit
from llem.execution.where import BackendWhere
from llem.study.study_keys import DockerSettings, GateSettings
from llem_runner.contract import Calibration
from llem_runner.contract.strict import Record


class StudyFacts(Record):
    """The fields of `study_started`."""

    study_uid: str
    name: str
    design_hash: str
    plan_hash: str
    version: str
    started_unix_s: float
    base_folder: str
    """Absolute; input paths of the study are relative to it."""
    n_cycles: int
    timeout_seconds: float | None
    load_timeout_seconds: float
    stall_seconds: float
    max_consecutive_failures: int
    wall_clock_limit_hours: float | None
    save_timeline: bool
    where: dict[str, BackendWhere] = Field(default_factory=dict)
    """Launcher and image by backend; empty in studies of before there were any but the local one."""
    docker: DockerSettings = DockerSettings()
    gpus: tuple[int | str, ...] | None = None
    """`execution.gpus`."""
    skip_preflight: bool = False
    """`execution.skip_preflight`."""
    gate: GateSettings | None = None
    """`execution.gate`."""
    git: GitCommit | None = None
    """Of the repository that `base_folder` lies in, when the study began; None where it lies in none."""
    gpu_models: tuple[str, ...] | None = None
    """The models of the GPUs that were there; None where no run asks for one."""
    engine: str | None = None
    """The id of the container engine: another one knows nothing of the runs in hand."""
    runner: str | None = None
    """What names the copy of the runner that all runs execute; None where they need none."""
    prompts: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the prompts by what asked for them: a dataset that changes under a study is found out."""
    commits: dict[str, str] = Field(default_factory=dict)
    """Of each model and adapter of the Hub, by `id@revision`: a branch that moves changes nothing in a study."""
    calibration: dict[str, Calibration] = Field(default_factory=dict)
    """By the UUID of a board, from the user's settings when the study began: one for all its runs."""
    skipped: tuple[dict[str, Any], ...] = ()
    warnings: tuple[dict[str, str], ...] = ()


def facts_of(journal: list[dict[str, Any]], where: str) -> StudyFacts:
    """The facts of a journal. Raises NotReadyError where it has none."""
    if not journal or journal[0]["event"] != "study_started":
        raise NotReadyError(f"{where}: the journal does not begin with study_started; this study never began.")
    try:
        return StudyFacts.model_validate(journal[0])
    except ValueError as error:
        raise NotReadyError(f"{where}: the journal's first line is not one of ours: {error}") from error
