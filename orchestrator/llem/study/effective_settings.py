"""What holds without any study: each setting with its value and who says so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llem.study.keys import BACKENDS
from llem.study.settings import IMAGE_VARIABLE, RUNNER_VARIABLE, BackendPlace, Source, UserSettings, place_of
from llem.study.study_keys import ImageChoice, RunnerChoice


@dataclass(frozen=True, slots=True)
class Setting:
    """A key of the settings file, what holds, and where it is from; `variable` is the environment's that says so."""

    key: str
    value: Any
    source: Source
    variable: str | None = None


def effective_settings(settings: UserSettings, environment: Mapping[str, str]) -> Iterator[Setting]:
    """Every setting, as a study that writes none of them would find it.

    Raises UsageError where a variable cannot be understood.
    """
    for backend in BACKENDS:
        place = place_of(backend, RunnerChoice(), ImageChoice(), settings, environment)
        yield from _of_place(backend, place, settings, environment)
    for name, value in settings.output.model_dump().items():
        written = name in settings.output.model_fields_set
        yield Setting(f"output.{name}", value, "user settings" if written else "default")
    for uuid, calibration in settings.calibration.items():
        for name, value in calibration.model_dump().items():
            yield Setting(f"calibration.{uuid}.{name}", value, "user settings")


def _of_place(
    backend: str, place: BackendPlace, settings: UserSettings, environment: Mapping[str, str]
) -> Iterator[Setting]:
    variables = [f"{prefix}{backend.upper()}" for prefix in (RUNNER_VARIABLE, IMAGE_VARIABLE)]
    runner_variable, image_variable = (name if environment.get(name) else None for name in variables)
    yield Setting(f"runners.{backend}", place.runner, place.runner_from, runner_variable)
    image_variable = (image_variable or runner_variable) if place.image_from == "environment" else None
    yield Setting(f"images.{backend}.image", place.image, place.image_from, image_variable)
    pull_written = "pull" in settings.images.get(backend, ImageChoice()).model_fields_set
    yield Setting(f"images.{backend}.pull", place.pull, "user settings" if pull_written else "default")
