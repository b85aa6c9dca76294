"""Whether what a container is to be shown can be shown: it is there, and the engine's way to write it can hold it."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from llem.launch.docker.engine import EngineFacts, EngineImage
from llem.launch.docker.request import ADAPTER, MODEL, Shown
from llem.launch.protocol import LaunchFailed
from llem.printable import on_one_line
from llem_runner.contract import FailureKind


def check_shown(shown: Sequence[Shown], facts: EngineFacts) -> None:
    """Raise LaunchFailed, of kind model for a model or adapter, else disk."""
    for each in shown:
        kind = FailureKind.MODEL if each.inside in (MODEL, ADAPTER) else FailureKind.DISK
        path = on_one_line(str(each.outside))
        # Said by us: with SELinux the engine would make an empty folder of that name.
        if not each.outside.exists():
            raise LaunchFailed(kind, f"{path} is not there (any more). Put it back, then resume the study.")
        sign = _sign_that_divides(facts)
        if sign in str(each.outside):
            raise LaunchFailed(
                kind,
                f"{path} cannot be mounted: {facts.name} takes the {sign!r} in it for the end of the path. Move it, or "
                "give it another name.",
            )


def check_volumes(image: EngineImage) -> None:
    """Raise LaunchFailed where an image declares a volume within a model's folder, in which nothing can be made."""
    for volume in map(posixpath.normpath, image.volumes):
        for place in (MODEL, ADAPTER):
            if volume.startswith(f"{place}/"):
                raise LaunchFailed(
                    FailureKind.IMAGE_UNUSABLE,
                    f"Image {image.name} declares a volume at {on_one_line(volume)}, and llem mounts models read-only "
                    f"at {place}. Build it without that VOLUME.",
                )


def _sign_that_divides(facts: EngineFacts) -> str:
    if facts.selinux:
        return ":"
    # Podman turns a mount of the API into one of its command line.
    return "," if facts.podman else "\0"
