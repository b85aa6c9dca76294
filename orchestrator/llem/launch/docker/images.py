"""Which image a backend's runs are made from: what the engine has, and what a study began with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from llem.launch.docker.engine import Engine, EngineFacts, EngineImage
from llem.launch.docker.image_names import architecture_of, by_digest
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind


def has_image(name: str) -> bool:
    """Whether an engine answers that has an image."""
    with suppress(LaunchFailed):
        engine = Engine.connect()
        try:
            return bool(engine.image(name))
        finally:
            engine.close()
    return False


def find_image(engine: Engine, name: str, digest: str | None, notice: Callable[[str], None]) -> EngineImage:
    """The image of a name; of a study that began with `digest` that one, as long as the engine has it.

    Raises LaunchFailed, also where it is one for another kind of machine.
    """
    found = image_there(engine, name, digest) or engine.image(name)
    if digest is not None and found.digest != digest:
        notice(
            f"Image {name} is not the one that this study began with ({digest}), which the engine no longer has: "
            "results of before and after it may differ for that reason alone."
        )
    check_architecture(engine.facts, found)
    return found


def image_there(engine: Engine, name: str, digest: str | None) -> EngineImage | None:
    """The image of a name, or the one of `digest` that it once meant; None where the engine does not have it.

    Raises LaunchFailed where the engine does not say.
    """
    for reference in (digest, by_digest(name, digest)) if digest else (name,):
        try:
            found = engine.image(reference)
        except LaunchFailed as failure:
            if failure.kind is not FailureKind.IMAGE_MISSING:
                raise
        else:
            return replace(found, name=name, digest=digest or found.digest)
    return None


def check_architecture(facts: EngineFacts, image: EngineImage) -> None:
    """Raise LaunchFailed for an image of another kind of machine: emulated, its numbers would be worth nothing."""
    theirs, ours = map(architecture_of, (image.architecture, facts.architecture))
    if theirs and ours and theirs != ours:
        raise LaunchFailed(
            FailureKind.IMAGE_UNUSABLE,
            f"Image {image.name} is made for {theirs}, and this engine's machine is {ours}. "
            f"Name an image for {ours}, or take the right one of the same name: "
            f"docker pull --platform linux/{ours} {image.name}",
        )
