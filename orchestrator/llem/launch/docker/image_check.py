"""Whether runs can be made from an image: what a look inside it says, kept by the image's id.

A look costs a container's start, so what holds of an image wherever it runs is looked for once. What depends on this
machine and moment (GPUs, who can write where) is no part of it: `Inside.look` finds that out before every study.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass

from llem.launch.docker.engine import EngineImage
from llem.launch.docker.image_facts import ImageFacts
from llem.launch.docker.image_findings import Finding
from llem.launch.docker.inside import Inside
from llem.launch.docker.probe import Workplace

Workplaces = Callable[[], AbstractContextManager[Workplace]]
"""Where a look is made, if one has to be: a folder that the engine sees, as `probe.workplace` makes it."""


@dataclass(frozen=True)
class ImageReport:
    """What was found of an image. `facts` is None where nothing in it could even be started.

    `facts.torch_cuda` is the CUDA that its torch was built for.
    """

    image: EngineImage
    backends: tuple[str, ...]
    """Those that it was judged for."""
    findings: tuple[Finding, ...]
    facts: ImageFacts | None
    cached: bool = False
    """Whether nobody looked now: it was known from before."""

    @property
    def missing(self) -> list[Finding]:
        """Why no run can be made from it; empty where it will do."""
        return [finding for finding in self.findings if finding.level == "missing"]


def check_image(
    inside: Inside, image: EngineImage, backends: Collection[str], workplaces: Workplaces, fresh: bool = False
) -> ImageReport:
    """What is to be said of an image for runs of these backends (none named: those whose engine it has).

    A look is made where none is known of before, or with `fresh`.
    Raises LaunchFailed where the engine, not the image, is what fails.
    """
    raise NotImplementedError
