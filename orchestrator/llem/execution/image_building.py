"""The images of a source checkout: built, named, and sent to a registry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import llem
from llem.errors import NotReadyError
from llem.execution.source_revision import source_revision
from llem.launch.docker import (
    Recipe,
    Variant,
    docker,
    images_there,
    published_name,
    why_not_attested,
    with_what_they_are_built_on,
)
from llem.launch.docker.image_recipe import BUILT_ON

CHECKOUT = Path(llem.__file__).resolve().parents[2]
"""The checkout that this llem is of, if it is of one."""


@dataclass(frozen=True, kw_only=True)
class BuildOrder:
    """What to build: `base` for images that are not built on one of ours, `registry` empty to keep them here."""

    backends: Sequence[str]
    variant: Variant
    base: str = ""
    network: str = ""
    registry: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BuiltImage:
    """An image that was built, in `seconds`; with a registry its name there. Sizes are of the engine that has it."""

    name: str
    seconds: float
    size_bytes: int | None


def build_images(
    order: BuildOrder, notice: Callable[[str], None], step: Callable[[str], None], checkout: Path = CHECKOUT
) -> Iterator[BuiltImage]:
    """Build images one after the other, those that others are built on first; each as it is there.

    `notice` gets a line for each thing that begins, `step` each step of a build. Raises NotReadyError where there is no
    checkout, or docker fails.
    """
    recipes = list(_recipes(order, checkout))
    unattested = why_not_attested() if order.registry else ""
    if unattested:
        notice(f"The images are pushed without provenance and SBOM: {unattested}.")
    for recipe in recipes:
        begun_s = time.monotonic()
        if order.registry and not unattested:
            name, size_bytes = _build_in_the_registry(recipe, order.registry, notice, step), None
        else:
            size_bytes = _build_here(recipe, notice, step)
            name = _push(recipe, order.registry, notice, step) if order.registry else recipe.name
        yield BuiltImage(name, time.monotonic() - begun_s, size_bytes)


def _recipes(order: BuildOrder, checkout: Path) -> Iterator[Recipe]:
    revision = source_revision(checkout)
    for backend in with_what_they_are_built_on(order.backends):
        recipe = Recipe(
            checkout=checkout,
            backend=backend,
            variant=order.variant,
            base=order.base,
            network=order.network,
            revision=revision,
            arguments=order.arguments,
        )
        if not recipe.dockerfile.is_file():
            raise NotReadyError(
                f"There is no {recipe.dockerfile}: images are built from a checkout of llem's source, and this llem is "
                "installed without one. Run `make images` in a checkout, or take published ones: llem images pull"
            )
        yield recipe


def _build_here(recipe: Recipe, notice: Callable[[str], None], step: Callable[[str], None]) -> int | None:
    """Build it on the engine, under its name and the alias; its size."""
    recipe = _on_its_base(recipe, lambda below: below.name)
    notice(f"{recipe.name} …")
    docker(
        ["build", "--progress", "plain", *recipe.options([recipe.name, recipe.alias])],
        f"{recipe.name} could not be built",
        step,
    )
    [there] = images_there([recipe.name])
    return there.size_bytes if there else None


def _push(recipe: Recipe, registry: str, notice: Callable[[str], None], step: Callable[[str], None]) -> str:
    name = published_name(registry, recipe)
    notice(f"{name} …")
    docker(["tag", recipe.name, name], f"{recipe.name} could not be named {name}", step)
    docker(["push", name], f"{name} could not be pushed", step)
    return name


def _build_in_the_registry(
    recipe: Recipe, registry: str, notice: Callable[[str], None], step: Callable[[str], None]
) -> str:
    """Build it by a builder that has no part in the engine's images: what it is built on is the registry's, too."""
    recipe = _on_its_base(recipe, lambda below: published_name(registry, below))
    name = published_name(registry, recipe)
    notice(f"{name}, with provenance and SBOM …")
    attested = ["--provenance", "mode=max", "--sbom", "true", "--push"]
    docker(
        ["buildx", "build", "--progress", "plain", *attested, *recipe.options([name])],
        f"{name} could not be built and pushed",
        step,
    )
    return name


def _on_its_base(recipe: Recipe, name_of: Callable[[Recipe], str]) -> Recipe:
    """With the image of ours that it is built on as its base, if there is one."""
    below = BUILT_ON.get(recipe.backend)
    return replace(recipe, base=name_of(replace(recipe, backend=below))) if below else recipe
