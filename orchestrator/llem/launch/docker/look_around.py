"""Every image looked into before the first run, with the GPUs that runs will have: all that is wrong, not the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from llem.checklist import GPUS, NO_GPUS, Checklist
from llem.errors import NotReadyError
from llem.launch.docker.engine import EngineImage
from llem.launch.docker.gpu_access import check_seen
from llem.launch.docker.inside import Inside
from llem.launch.docker.probe import Workplace
from llem.launch.gpus import Gpu
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind


@dataclass(frozen=True)
class WantedGpus:
    """GPUs that a study may use: `names` as in `execution.gpus` (None: all that CUDA_VISIBLE_DEVICES leaves)."""

    names: Sequence[int | str] | None
    environment: Mapping[str, str]


class LookAround:
    """Looks into images, one after the other. `gpus` are those that runs can have, known after the first look.

    Whether the runner starts, writes into our folder, and sees the GPUs is noted for each image. Where nothing is to be
    judged one look is enough: it finds the GPUs, and how this engine wants to be asked.
    """

    def __init__(self, inside: Inside, wanted: WantedGpus | None, checklist: Checklist) -> None:
        """No GPUs are `wanted`: None."""
        self.gpus: list[Gpu] = []
        self._inside = inside
        self._wanted = wanted
        self._checklist = checklist
        self._knows_gpus = wanted is None
        self._has_looked = False

    def at(self, where: Workplace, images: Sequence[EngineImage]) -> None:
        """Look into these. Raises LaunchFailed where we were asked to end."""
        for image in images:
            if self._wanted is not None and not self._knows_gpus:
                self._find_gpus(where, image, self._wanted)
            elif self._checklist.judging or not self._has_looked:
                self._look(where, image)

    def end(self) -> None:
        """No further image is to be looked at."""
        if not self._knows_gpus:
            self._checklist.skip(GPUS, "as there is nothing to look for them from")

    def _find_gpus(self, where: Workplace, image: EngineImage, wanted: WantedGpus) -> None:
        """Look for GPUs; where that is in vain for reasons of theirs, at the image without any."""
        try:
            self.gpus = self._inside.find_gpus(where, image, wanted.names, wanted.environment)
        except LaunchFailed as failure:
            if failure.kind is not FailureKind.GPU_REQUEST:
                _note(self._checklist, container_check(image), failure)
                return
            _note(self._checklist, GPUS, failure)
        except NotReadyError as error:
            self._checklist.fail(GPUS, error.what, error.remedy)
        else:
            self._checklist.ok(container_check(image))
            self._checklist.ok(GPUS, "; ".join(map(str, self.gpus)) or NO_GPUS)
            self._has_looked = True
        self._knows_gpus = True
        if not self._has_looked:
            self._look(where, image)

    def _look(self, where: Workplace, image: EngineImage) -> None:
        with noting(self._checklist, container_check(image)):
            report = self._inside.look(where, image, self._inside.gpus_named([gpu.uuid for gpu in self.gpus]))
            if self.gpus:
                check_seen(report, self.gpus)
            self._checklist.ok(container_check(image))
        self._has_looked = True


@contextmanager
def noting(checklist: Checklist, check: str) -> Iterator[None]:
    """A LaunchFailed within the `with` is noted and goes no further, but for that we were asked to end."""
    try:
        yield
    except LaunchFailed as failure:
        _note(checklist, check, failure)


def container_check(image: EngineImage) -> str:
    """The check whether runs can be made from an image."""
    return f"container of {image.name}"


def _note(checklist: Checklist, check: str, failure: LaunchFailed) -> None:
    if failure.kind is FailureKind.INTERRUPTED:
        raise failure
    checklist.fail(check, f"{failure.kind}: {failure.what}", failure.remedy)
