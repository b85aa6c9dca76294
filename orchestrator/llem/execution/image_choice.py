"""Which image a backend runs, where it runs in a container: the one that somebody named, else ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llem.launch.docker import default_image, published_image
from llem.launch.docker import has_image as engine_has_image
from llem.launch.gpus import cuda_major as driver_cuda_major
from llem.study.settings import BackendPlace, Source

ImageSource = Literal[Source, "built here", "published"]


@dataclass(frozen=True)
class ChosenImage:
    """An image's name, and who says it."""

    name: str
    source: ImageSource


@dataclass(frozen=True)
class ImagesHere:
    """What the choice depends on where nobody named an image; asked only then."""

    has_image: Callable[[str], bool] = engine_has_image
    cuda_major: Callable[[], int | None] = driver_cuda_major
    """The CUDA version of this machine's driver; None where there is none."""
    wants_gpus: bool = True

    def chosen(self, backend: str, place: BackendPlace) -> ChosenImage:
        """The image of a backend: named, or built here, or published; of `pull: always` not one that no registry has.

        A published one is for the CPU where no GPU is there, or none is wanted.
        """
        if place.image is not None:
            return ChosenImage(place.image, place.image_from)
        if place.pull != "always" and self.has_image(default_image(backend)):
            return ChosenImage(default_image(backend), "built here")
        return ChosenImage(published_image(backend, self.cuda_major() if self.wants_gpus else None), "published")
