"""Whether the images of backends, of a study, or by name have what runs need, without running anything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from llem.errors import CliExit, LlemError, NotReadyError
from llem.execution.image_choice import ImagesHere
from llem.execution.images import places_of
from llem.execution.interrupts import Interrupts
from llem.launch.docker import ImageReport, check_images
from llem.paths import expanded
from llem.study import Study, load_study, make_plan
from llem.study.keys import BACKENDS
from llem.study.settings import (
    BackendPlace,
    UserSettings,
    effective_output,
    effective_places,
    load_settings,
    settings_path,
)


class VerifyInterrupted(LlemError):
    """Somebody pressed Ctrl-C while images were looked at."""

    exit_code = CliExit.INTERRUPTED


def verify_images(
    names: Sequence[str], study: Path | None, fresh: bool = False, environment: Mapping[str, str] = os.environ
) -> list[ImageReport]:
    """A report on each image: of backends, by name, or those that a study's runs need.

    `fresh`: look also where an image is known from before. Raises UsageError, NotReadyError, VerifyInterrupted.
    """
    settings = load_settings(settings_path(environment))
    loaded = load_study(study) if study is not None else None
    wanted: dict[str, tuple[str, ...]] = {name: () for name in names if name not in BACKENDS}
    places = places_of([name for name in names if name in BACKENDS], environment)
    of_study = _of_study(loaded, settings, environment) if loaded else iter(())
    for backend, image in (*_chosen(places, ImagesHere()), *of_study):
        wanted[image] = tuple(dict.fromkeys((*wanted.get(image, ()), backend)))
    parent = expanded((effective_output(loaded, settings) if loaded else settings.output).folder)
    with Interrupts() as interrupts:
        try:
            return check_images(wanted, parent, interrupts.wait, fresh) if wanted else []
        except NotReadyError as error:
            if interrupts.requested:
                raise VerifyInterrupted("Interrupted: not every image was looked at.") from error
            raise


def _of_study(study: Study, settings: UserSettings, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    plan = make_plan(study)
    here = ImagesHere(wants_gpus=any(config.device != "cpu" for config in plan.experiments.values()))
    places = effective_places(study, settings, environment)
    yield from _chosen({backend: place for backend, place in places.items() if place.runner != "local"}, here)


def _chosen(places: Mapping[str, BackendPlace], here: ImagesHere) -> Iterator[tuple[str, str]]:
    for backend, place in places.items():
        yield backend, here.chosen(backend, place).name
