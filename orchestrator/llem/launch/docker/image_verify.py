"""Images checked without any study: what each has and lacks, also of those that are not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from llem.launch.docker.engine import Engine
from llem.launch.docker.image_check import ImageReport, check_image
from llem.launch.docker.image_findings import Finding
from llem.launch.docker.images import image_there
from llem.launch.docker.inside import Inside
from llem.launch.docker.probe import workplace
from llem.launch.docker.ready import ready
from llem.launch.docker.request import Caller, ContainerSettings
from llem.launch.docker.stock import an_engine


def check_images(
    wanted: Mapping[str, Collection[str]], parent: Path, stop: Callable[[float], bool], fresh: bool = False
) -> list[ImageReport]:
    """A report on each image for the backends that it is `wanted` for (none: those whose engine it has).

    Looks are made beside the study folders in `parent`; `stop(seconds)` waits and says whether we were asked to end.
    Raises NotReadyError where the engine, not an image, is what fails.
    """
    caller = Caller(os.geteuid(), os.getegid(), tuple(os.getgroups()))
    with an_engine() as engine:
        inside = Inside(engine, ContainerSettings(), caller, stop)
        workplaces = partial(workplace, parent, caller.inside(engine.facts))

        def report(name: str, backends: Collection[str]) -> ImageReport:
            image = image_there(engine, name, None)
            if image is None:
                return _absent(engine, name, backends)
            return check_image(inside, image, backends, workplaces, fresh)

        return [ready(partial(report, name, backends)) for name, backends in wanted.items()]


def _absent(engine: Engine, name: str, backends: Collection[str]) -> ImageReport:
    finding = Finding(
        "missing", "image", f"it is not on the engine ({engine.facts.name})", f"llem images pull {name}, or build it"
    )
    return ImageReport(name, None, tuple(backends), (finding,), None)
