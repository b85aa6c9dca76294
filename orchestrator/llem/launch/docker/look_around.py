"""Every image looked into before the first run, with the GPUs that runs will have: all that is wrong, not the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from llem.checklist import Checklist
from llem.errors import NotReadyError
from llem.launch.docker.engine import EngineImage
from llem.launch.docker.gpu_access import check_seen
from llem.launch.docker.inside import Inside
from llem.launch.docker.probe import Workplace
from llem.launch.gpus import Gpu
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

GPUS = "GPUs"
"""The check whether runs can have the GPUs that they ask for."""


def container_check(image: EngineImage) -> str:
    """The check whether runs can be made from an image: the runner starts, and writes into our folder."""
    return f"container of {image.name}"


@dataclass(frozen=True)
class Wanted:
    """GPUs that a study may use: `names` as in `execution.gpus` (None: all that CUDA_VISIBLE_DEVICES leaves)."""

    names: Sequence[int | str] | None
    environment: Mapping[str, str]


def look_around(
    inside: Inside, where: Workplace, images: Sequence[EngineImage], wanted: Wanted | None, checklist: Checklist
) -> list[Gpu]:
    """Look into each image and return the GPUs that runs can have; None are `wanted`: none.

    Where nothing is to be judged, one look is enough: it finds the GPUs, and how this engine wants to be asked.
    Raises LaunchFailed where we were asked to end.
    """
    gpus: list[Gpu] = []
    left = list(images)
    if wanted is not None:
        gpus = _find_gpus(inside, where, left, wanted, checklist)
    elif not checklist.judging:
        left = left[:1]
    if not checklist.judging and wanted is not None:
        return gpus
    for image in left:
        with _noting(checklist, container_check(image)):
            report = inside.look(where, image, inside.gpus_named([gpu.uuid for gpu in gpus]))
            if gpus:
                check_seen(report, gpus)
            checklist.ok(container_check(image))
    return gpus


def _find_gpus(
    inside: Inside, where: Workplace, left: list[EngineImage], wanted: Wanted, checklist: Checklist
) -> list[Gpu]:
    """Look for them from the first image in which that is possible; `left` are then those to be looked into yet."""
    for image in list(left):
        try:
            gpus = inside.find_gpus(where, image, wanted.names, wanted.environment)
        except LaunchFailed as failure:
            _raise_if_asked_to_end(failure)
            if failure.kind is FailureKind.GPU_REQUEST:
                _note(checklist, GPUS, failure)
                return []
            _note(checklist, container_check(image), failure)
            left.remove(image)
        except NotReadyError as error:
            checklist.fail(GPUS, error.what, error.remedy)
            return []
        else:
            left.remove(image)
            checklist.ok(container_check(image))
            checklist.ok(GPUS, "; ".join(map(str, gpus)) or "none: runs use the CPU")
            return gpus
    checklist.skip(GPUS, "as there is no image to look from")
    return []


@contextmanager
def _noting(checklist: Checklist, check: str) -> Iterator[None]:
    try:
        yield
    except LaunchFailed as failure:
        _raise_if_asked_to_end(failure)
        _note(checklist, check, failure)


def _raise_if_asked_to_end(failure: LaunchFailed) -> None:
    if failure.kind is FailureKind.INTERRUPTED:
        raise failure


def _note(checklist: Checklist, check: str, failure: LaunchFailed) -> None:
    checklist.fail(check, f"{failure.kind}: {failure.what}", failure.remedy)
