"""Checked values of `runners`, `images` and the settings sections → their models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from llem.study.nodes import Node
from llem.study.problems import Problems
from llem.study.study_keys import ImageChoice, RunnerChoice
from llem_runner.contract.strict import Frozen


def read_places(
    own: Mapping[str, Any], root: Node, problems: Problems
) -> tuple[dict[str, RunnerChoice], dict[str, ImageChoice]]:
    """`runners` and `images`; an image in `runners` and an entry in `images` for one backend are an error together."""
    runners = _runner_choices(own.get("runners"))
    images = _image_choices(own.get("images"))
    for backend, runner in runners.items():
        if runner.image and backend in images:
            node = root.value["images"]
            message = f"images.{backend}: runners.{backend} names an image already (docker:{runner.image})"
            problems.add(node.key_places[backend], message)
    return runners, images


def _runner_choices(written: Mapping[str, str | None] | None) -> dict[str, RunnerChoice]:
    """`runners` as written → a choice for each backend that is named."""
    return {backend: RunnerChoice.of_text(text) for backend, text in (written or {}).items() if text is not None}


def _image_choices(written: Mapping[str, Any] | None) -> dict[str, ImageChoice]:
    """`images` as written → a choice for each backend that is named."""
    choices = {}
    for backend, value in (written or {}).items():
        if value is not None:
            choices[backend] = checked_model(ImageChoice, {"image": value} if isinstance(value, str) else value)
    return choices


Checked = TypeVar("Checked", bound=Frozen)


def checked_model(model: type[Checked], written: Mapping[str, Any] | None) -> Checked:
    """A model of checked values, in which null is as if not written, so that its default holds."""
    return model.model_validate(_without_nulls(written or {}))


def _without_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in values.items() if value is not None}
    return {key: _without_nulls(value) if isinstance(value, dict) else value for key, value in kept.items()}
