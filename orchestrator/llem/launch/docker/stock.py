"""The images on the engine without any study: which there are, and more of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from llem.launch.docker.engine import Engine, EngineImage
from llem.launch.docker.images import find_image, image_there
from llem.launch.docker.pull import Progress, WantedImage, pull_missing
from llem.launch.docker.ready import ready


def images_there(names: Sequence[str]) -> list[EngineImage | None]:
    """What the engine has under each name. Raises NotReadyError where no engine answers."""
    with an_engine() as engine:
        return [ready(partial(image_there, engine, name, None)) for name in names]


def pull_images(
    wanted: Sequence[WantedImage],
    progress: Progress,
    stop: Callable[[float], bool],
    notice: Callable[[str], None],
) -> list[EngineImage]:
    """Have every wanted image on the engine; what it has then. Raises NotReadyError that names all that cannot be had.

    `stop` and `notice` as for `pull_missing`.
    """
    with an_engine() as engine:
        ready(partial(pull_missing, engine, wanted, progress, stop, notice))
        return [ready(partial(find_image, engine, each.name, None, notice)) for each in wanted]


@contextmanager
def an_engine() -> Iterator[Engine]:
    """The machine's engine, connected to. Raises NotReadyError where none answers."""
    engine = ready(Engine.connect)
    try:
        yield engine
    finally:
        engine.close()
