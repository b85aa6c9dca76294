"""How the images of `images/` are built: arguments, labels and names of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from llem.launch.docker.image_names import CUDA_MAJORS, default_image
from llem.version import __version__

Variant = Literal["cpu", "cuda"]
CUDA_MAJOR = CUDA_MAJORS[-1]
"""The major version of CUDA that the locks of the CUDA variant pin."""

BUILT_ON = {"vllm": "pytorch"}
"""What a backend's image is built on top of, where that is an image of ours."""

# PyPI's torch is the build for CUDA.
_INSTALL_FLAGS: Mapping[Variant, str] = {
    "cpu": "--extra-index-url https://download.pytorch.org/whl/cpu",
    "cuda": "",
}
_NO_OWN_BASE = ""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """What of the source an image was built from; empty where nobody knows. `created` is RFC 3339."""

    source: str = ""
    commit: str = ""
    created: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One image of the checkout at `checkout`. `arguments` come last: they win over all others of their name."""

    checkout: Path
    backend: str
    variant: Variant
    base: str = _NO_OWN_BASE
    network: str = ""
    revision: Revision = Revision()
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def dockerfile(self) -> Path:
        """Its Dockerfile."""
        return self.checkout / "images" / self.backend / "Dockerfile"

    @property
    def name(self) -> str:
        """`llem-<backend>:<version>-cpu|-cu<major>`."""
        return f"{self.alias}-{'cpu' if self.variant == 'cpu' else f'cu{CUDA_MAJOR}'}"

    @property
    def alias(self) -> str:
        """The local name of whichever variant was built last: what llem uses where nobody names an image."""
        return default_image(self.backend)

    def build_arguments(self) -> dict[str, str]:
        """Everything that its Dockerfile is told."""
        told = {
            "VARIANT": self.variant,
            "INSTALL_FLAGS": _INSTALL_FLAGS[self.variant],
            "VERSION": __version__,
            "SOURCE": self.revision.source,
            "REVISION": self.revision.commit,
            "CREATED": self.revision.created,
        }
        if self.base:
            told["BASE_IMAGE"] = self.base
        return {**told, **self.arguments}

    def options(self, tags: Iterable[str]) -> list[str]:
        """What `docker build` is called with, to build it under these names."""
        options = ["--file", str(self.dockerfile)]
        if self.network:
            options += ["--network", self.network]
        for tag in tags:
            options += ["--tag", tag]
        for name, value in self.build_arguments().items():
            options += ["--build-arg", f"{name}={value}"]
        return [*options, str(self.checkout)]


def with_what_they_are_built_on(backends: Sequence[str]) -> list[str]:
    """Backends in the order in which their images can be built, with those that others are built on."""
    ordered: list[str] = []
    for backend in backends:
        below = with_what_they_are_built_on([BUILT_ON[backend]]) if backend in BUILT_ON else []
        ordered += [each for each in (*below, backend) if each not in ordered]
    return ordered


def published_name(registry: str, recipe: Recipe) -> str:
    """Its name in a registry, which knows no capitals."""
    return f"{registry.strip().rstrip('/').lower()}/{recipe.name}"
