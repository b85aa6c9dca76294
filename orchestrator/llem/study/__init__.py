"""WHAT to run: text → plan, and the prompts that a dataset names. Pure: no clock, no Docker, no GPU."""

from llem.study.model_source import ModelSource, resolve_model
from llem.study.plan import Merged, Plan, Run, Skipped, make_plan
from llem.study.problems import Problem, StudyFileError
from llem.study.study import Study, StudyOverrides, load_study, parse_study, study_of
from llem.study.study_keys import ExecutionSettings, ImageChoice, OutputSettings, RunnerChoice
from llem.study.unavailable import Unavailable, unavailable

__all__ = [
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
    "load_study",
    "make_plan",
    "parse_study",
    "resolve_model",
    "study_of",
    "unavailable",
]
