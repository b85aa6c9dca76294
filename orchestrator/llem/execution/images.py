"""The images of backends without running anything: which each would use and why, and having them pulled."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.errors import CliExit, LlemError, NotReadyError
from llem.execution.image_choice import ChosenImage, ImagesHere
from llem.execution.interrupts import Interrupts
from llem.execution.observer import Observer
from llem.launch.docker import PullPolicy, WantedImage, images_there, pull_images, variant_of
from llem.launch.docker.engine import EngineImage
from llem.study import load_study, make_plan
from llem.study.keys import BACKENDS
from llem.study.settings import BackendPlace, effective_places, load_settings, place_of, settings_path
from llem.study.study_keys import ImageChoice, RunnerChoice


@dataclass(frozen=True)
class ListedImage:
    """The image that a backend's runs would be made from; `there` None: not on the engine, or no engine answers."""

    backend: str
    chosen: ChosenImage
    pull: PullPolicy
    there: EngineImage | None

    @property
    def variant(self) -> str | None:
        """`cpu`, `cu13`, …; None where nothing says so."""
        return variant_of([self.chosen.name, *(self.there.tags if self.there else ())])


class PullInterrupted(LlemError):
    """Somebody pressed Ctrl-C while images were pulled."""

    exit_code = CliExit.INTERRUPTED


def list_images(environment: Mapping[str, str] = os.environ) -> tuple[list[ListedImage], str]:
    """What each backend would use where a study says nothing, and why nobody knows what is there (empty: it is known).

    Raises UsageError for settings or variables that cannot be read.
    """
    places = places_of(BACKENDS, environment)
    chosen = {backend: ImagesHere().chosen(backend, place) for backend, place in places.items()}
    unknown = ""
    try:
        found = images_there([each.name for each in chosen.values()])
    except NotReadyError as error:
        found, unknown = [None] * len(chosen), str(error)
    listed = [
        ListedImage(backend, each, places[backend].pull, there)
        for (backend, each), there in zip(chosen.items(), found, strict=True)
    ]
    return listed, unknown


def pull(
    names: Sequence[str],
    study: Path | None,
    policy: PullPolicy | None,
    observer: Observer,
    environment: Mapping[str, str] = os.environ,
) -> list[EngineImage]:
    """Have images on the engine: of backends, by name, or those that a study's runs need; what is there then.

    `policy` None: what settings and study say, `missing` for images by name. Raises UsageError, NotReadyError,
    PullInterrupted.
    """
    named = [WantedImage(name, policy or "missing") for name in names if name not in BACKENDS]
    places = places_of([name for name in names if name in BACKENDS], environment)
    of_backends = list(_wanted(places, ImagesHere(), policy))
    of_study = list(_of_study(study, policy, environment)) if study is not None else []
    wanted = list(dict.fromkeys([*of_backends, *named, *of_study]))
    with Interrupts() as interrupts:
        try:
            return pull_images(wanted, observer.image_pull, interrupts.wait, observer.notice) if wanted else []
        except NotReadyError as error:
            if interrupts.requested:
                raise PullInterrupted("Interrupted: what was not pulled completely is not there.") from error
            raise
        finally:
            observer.study_ended()


def places_of(backends: Iterable[str], environment: Mapping[str, str]) -> dict[str, BackendPlace]:
    """Where backends run as far as environment and user settings say it. Raises UsageError."""
    settings = load_settings(settings_path(environment))
    return {
        backend: place_of(backend, RunnerChoice(), ImageChoice(), settings, environment)
        for backend in dict.fromkeys(backends)
    }


def _of_study(path: Path, policy: PullPolicy | None, environment: Mapping[str, str]) -> Iterator[WantedImage]:
    study = load_study(path)
    plan = make_plan(study)
    wants_gpus = any(config.device != "cpu" for config in plan.experiments.values())
    places = effective_places(study, load_settings(settings_path(environment)), environment)
    in_containers = {backend: place for backend, place in places.items() if place.runner != "local"}
    yield from _wanted(in_containers, ImagesHere(wants_gpus=wants_gpus), policy)


def _wanted(places: Mapping[str, BackendPlace], here: ImagesHere, policy: PullPolicy | None) -> Iterator[WantedImage]:
    for backend, place in places.items():
        yield WantedImage(here.chosen(backend, place).name, policy or place.pull)
