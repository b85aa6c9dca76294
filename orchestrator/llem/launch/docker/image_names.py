"""The names of images, and what they are made of. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from llem.version import __version__

REGISTRY = "ghcr.io/llenergymeasure"
"""Where the images of llem are published."""
REGISTRY_VARIABLE = "LLEM_REGISTRY"
"""Says another registry that holds them, as a mirror does."""
CUDA_MAJORS = (13,)
"""The major versions of CUDA that images are published for (images/README.md), oldest first."""

_HUB = "docker.io"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_VARIANT = re.compile(rf"\A{re.escape(__version__)}-(cpu|cu[0-9]+)\Z")


def default_image(backend: str) -> str:
    """The image of a backend that nobody named: the alias of the one that was built here last."""
    return f"llem-{backend}:{__version__}"


def published_image(backend: str, cuda_major: int | None, environment: Mapping[str, str] = os.environ) -> str:
    """The published image of a backend, for a driver of this CUDA version; for the CPU where it is None.

    A driver runs what was built for its own version of CUDA and for older ones; one that is too old for all of them
    gets the oldest, and a look around says so.
    """
    registry = environment.get(REGISTRY_VARIABLE, "").strip().rstrip("/") or REGISTRY
    if cuda_major is None:
        return f"{registry}/{default_image(backend)}-cpu"
    fitting = max((major for major in CUDA_MAJORS if major <= cuda_major), default=CUDA_MAJORS[0])
    return f"{registry}/{default_image(backend)}-cu{fitting}"


def variant_of(names: Iterable[str]) -> str | None:
    """What an image of ours was built for (`cpu`, `cu13`), from the tags it has; None where none of them says so."""
    tags = (parts_of(name)[1] for name in names)
    return next((hit[1] for tag in tags if (hit := _VARIANT.search(tag))), None)


def registry_of(image: str) -> str:
    """The host (and port) in an image's name; Docker Hub's where there is none."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else _HUB


def parts_of(image: str) -> tuple[str, str, str]:
    """Repository, tag and digest of a name; the last two empty where it has none."""
    name, _, digest = image.partition("@")
    folder, slash, last = name.rpartition("/")
    repository, _, tag = last.partition(":")
    return f"{folder}{slash}{repository}", tag, digest


def by_digest(image: str, digest: str) -> str:
    """The same image by its digest, whatever its tag means by now."""
    return f"{parts_of(image)[0]}@{digest}"


def digest_for(image: str, repo_digests: Sequence[str]) -> str | None:
    """Of the digests that an engine knows an image by, the one of the repository it was asked for; None: it has none.

    One image has several where it was pushed to several registries: each packs it in its own way.
    """
    repository = _familiar(parts_of(image)[0])
    named = [each.rpartition("@") for each in repo_digests]
    own = [digest for name, _, digest in named if _familiar(name) == repository]
    return next(iter([*own, *(digest for _, _, digest in named)]), None)


def architecture_of(machine: str) -> str:
    """What images call the family of a processor, for which kernels, and some engines, have another name."""
    return _ARCHITECTURES.get(machine, machine)


def _familiar(repository: str) -> str:
    """Docker Hub's names as people write them: without `docker.io/library/`."""
    return repository.removeprefix(f"{_HUB}/").removeprefix("library/")
