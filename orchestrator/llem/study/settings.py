"""The user's settings file, and what holds where environment, study, settings and defaults say different things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from llem.errors import UsageError
from llem.printable import on_one_line
from llem.study.check import Checker
from llem.study.nodes import compose
from llem.study.problems import Place, Problems, TooManyProblems
from llem.study.reading import checked_model, read_places
from llem.study.study import Study
from llem.study.study_keys import (
    SETTINGS,
    Calibration,
    ImageChoice,
    OutputSettings,
    PullPolicy,
    RunnerChoice,
    RunnerKind,
)
from llem.study.yaml_text import read_capped

RUNNER_VARIABLE: Final = "LLEM_RUNNER_"
IMAGE_VARIABLE: Final = "LLEM_IMAGE_"

Source = Literal["environment", "study", "user settings", "default"]
_DEFAULT: Final[Source] = "default"


@dataclass(frozen=True)
class UserSettings:
    """What `config.yaml` says; calibrations by the UUID of the board."""

    runners: Mapping[str, RunnerChoice] = field(default_factory=dict)
    images: Mapping[str, ImageChoice] = field(default_factory=dict)
    output: OutputSettings = field(default_factory=OutputSettings)
    calibration: Mapping[str, Calibration] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackendPlace:
    """Where a backend runs and what: the image None is the default image. Each with who said so."""

    runner: RunnerKind
    image: str | None
    pull: PullPolicy
    runner_from: Source
    image_from: Source


def settings_path(environment: Mapping[str, str]) -> Path:
    """`${XDG_CONFIG_HOME:-~/.config}/llem/config.yaml`; a relative XDG_CONFIG_HOME is ignored, as XDG asks."""
    configured = environment.get("XDG_CONFIG_HOME", "")
    home = Path(environment.get("HOME") or Path.home())
    return (Path(configured) if configured.startswith("/") else home / ".config") / "llem" / "config.yaml"


def load_settings(path: Path) -> UserSettings:
    """Read the user's settings; a file that is not there says nothing. Raises StudyFileError with all its problems."""
    return parse_settings(read_settings(path), str(path))


def read_settings(path: Path) -> bytes:
    """The settings file as it is, empty where it is not there. Raises UsageError where it cannot be read."""
    try:
        return read_capped(path)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UsageError(on_one_line(f"{path}: the user settings cannot be read ({error.strerror}).")) from error


def parse_settings(text: str | bytes, file: str) -> UserSettings:
    """Check the text of a settings file. Raises StudyFileError."""
    problems = Problems()
    try:
        settings = _parsed(text, file, problems)
        if settings is not None and not problems:
            return settings
    except TooManyProblems:
        pass
    raise problems.error()


def _parsed(text: str | bytes, file: str, problems: Problems) -> UserSettings | None:
    root = compose(text, file, problems)
    if root is None or root.value is None:
        return UserSettings()  # an empty file says nothing
    if not root.is_mapping:
        problems.add(Place(file, 1, 1), "the settings have to be a mapping of keys")
        return None
    written = Checker(problems, complete=True).mapping(root, SETTINGS).values
    runners, images = read_places(written, root, problems)
    if problems:
        return None
    boards = {uuid: value for uuid, value in (written.get("calibration") or {}).items() if value is not None}
    return UserSettings(
        runners=runners,
        images=images,
        output=checked_model(OutputSettings, written.get("output")),
        calibration={uuid: checked_model(Calibration, value) for uuid, value in boards.items()},
    )


def effective_places(study: Study, settings: UserSettings, environment: Mapping[str, str]) -> dict[str, BackendPlace]:
    """Where each backend of a study runs: environment > study > user settings > default.

    Raises UsageError where a variable cannot be understood.
    """
    return {
        backend: place_of(backend, study.runners[backend], study.images[backend], settings, environment)
        for backend in study.backends
    }


def effective_output(study: Study, settings: UserSettings) -> OutputSettings:
    """The output settings: what the study (or the command line) writes, else the user's, else the defaults."""
    written = study.output.model_dump(exclude_unset=True)
    return OutputSettings.model_validate({**settings.output.model_dump(exclude_unset=True), **written})


def need_docker(places: Mapping[str, BackendPlace]) -> tuple[str, ...]:
    """Backends of a study of several that cannot be local just because no engine answers: `auto` means docker there.

    Two engines rarely live in one Python; who knows better sets each to `local` by hand.
    """
    return tuple(b for b, place in places.items() if len(places) > 1 and place.runner == "auto")


def place_of(
    backend: str,
    runner_of_study: RunnerChoice,
    image_of_study: ImageChoice,
    settings: UserSettings,
    environment: Mapping[str, str],
) -> BackendPlace:
    """Where one backend runs, given what a study says of it. Raises UsageError as `effective_places`."""
    layers: list[tuple[Source, RunnerChoice, ImageChoice]] = [
        ("environment", *_of_environment(backend, environment)),
        ("study", runner_of_study, image_of_study),
        (
            "user settings",
            settings.runners.get(backend, RunnerChoice()),
            settings.images.get(backend, ImageChoice()),
        ),
    ]
    runner, runner_from = RunnerChoice().kind, _DEFAULT
    image, image_from, pull = ImageChoice().image, _DEFAULT, ImageChoice().pull
    for source, runner_choice, image_choice in reversed(layers):
        if runner_choice.model_fields_set:
            runner, runner_from = runner_choice.kind, source
        if named := runner_choice.image or image_choice.image:
            image, image_from = named, source
        if "pull" in image_choice.model_fields_set:
            pull = image_choice.pull
    return BackendPlace(runner, image, pull, runner_from, image_from)


def _of_environment(backend: str, environment: Mapping[str, str]) -> tuple[RunnerChoice, ImageChoice]:
    runner_name, image_name = (f"{prefix}{backend.upper()}" for prefix in (RUNNER_VARIABLE, IMAGE_VARIABLE))
    runner_text, image_text = environment.get(runner_name, ""), environment.get(image_name, "")
    try:
        runner = RunnerChoice.of_text(runner_text) if runner_text else RunnerChoice()
    except ValueError as error:
        raise UsageError(f"{runner_name}: {runner_text!r} {error}.") from error
    if runner.image and image_text:
        raise UsageError(f"{runner_name} and {image_name} both name an image: unset one of them.")
    return runner, ImageChoice(image=image_text) if image_text.strip() else ImageChoice()
