"""WHAT to run: text → plan, and the prompts that a dataset names. Pure: no clock, no Docker, no GPU."""

from llem.study.json_schema import study_schema
from llem.study.model_source import ModelSource, check_hub_id, resolve_model
from llem.study.plan import Merged, Plan, Run, Skipped, make_plan
from llem.study.problems import Problem, StudyFileError
from llem.study.settings import (
    BackendPlace,
    UserSettings,
    effective_output,
    effective_places,
    load_settings,
    need_docker,
    settings_path,
)
from llem.study.study import Study, StudyOverrides, load_study, parse_study, study_of, with_overrides
from llem.study.study_keys import ExecutionSettings, ImageChoice, OutputSettings, RunnerChoice
from llem.study.unavailable import Unavailable, unavailable

__all__ = [
    "BackendPlace",
    "ExecutionSettings",
    "ImageChoice",
    "Merged",
    "ModelSource",
    "OutputSettings",
    "Plan",
    "Problem",
    "Run",
    "RunnerChoice",
    "Skipped",
    "Study",
    "StudyFileError",
    "StudyOverrides",
    "Unavailable",
    "UserSettings",
    "check_hub_id",
    "effective_output",
    "effective_places",
    "load_settings",
    "load_study",
    "make_plan",
    "need_docker",
    "parse_study",
    "resolve_model",
    "settings_path",
    "study_of",
    "study_schema",
    "unavailable",
    "with_overrides",
]
