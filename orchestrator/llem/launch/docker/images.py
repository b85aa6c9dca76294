"""Which image a backend's runs are made from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from llem.launch.docker.engine import Engine, EngineImage
from llem.launch.protocol import LaunchFailed
from llem.version import __version__


def has_image(name: str) -> bool:
    """Whether an engine answers that has an image."""
    with suppress(LaunchFailed):
        engine = Engine.connect()
        try:
            return bool(engine.image(name))
        finally:
            engine.close()
    return False


def default_image(backend: str) -> str:
    """The image of a backend that nobody named: the alias of the one that was built last."""
    return f"llem-{backend}:{__version__}"


def find_image(engine: Engine, name: str, digest: str | None, notice: Callable[[str], None]) -> EngineImage:
    """The image of a name; of a study that began with `digest` that one, as long as the engine has it.

    Raises LaunchFailed.
    """
    if digest is None:
        return engine.image(name)
    for reference in (digest, f"{name.partition('@')[0].rpartition(':')[0] or name}@{digest}"):
        with suppress(LaunchFailed):
            return replace(engine.image(reference), name=name, digest=digest)
    found = engine.image(name)
    if found.digest != digest:
        notice(
            f"Image {name} is not the one that this study began with ({digest}), which the engine no longer has: "
            "results of before and after it may differ for that reason alone."
        )
    return found
