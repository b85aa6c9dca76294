"""Which image a backend's runs are made from, where nobody named one and where somebody did."""

from __future__ import annotations

import pytest

from llem.execution.image_choice import ChosenImage, ImagesHere
from llem.launch.docker import PullPolicy, default_image, published_image
from llem.launch.docker.image_names import REGISTRY, by_digest, digest_for, parts_of, registry_of, variant_of
from llem.study.settings import BackendPlace
from llem.version import __version__

OURS = default_image("pytorch")
CPU = f"{REGISTRY}/llem-pytorch:{__version__}-cpu"


def place(image: str | None = None, pull: PullPolicy = "missing") -> BackendPlace:
    return BackendPlace("docker", image, pull, "study", "user settings" if image else "default")


def chosen(written: BackendPlace, *there: str, cuda: int | None = None, wants_gpus: bool = True) -> ChosenImage:
    return ImagesHere(there.__contains__, lambda: cuda, wants_gpus).chosen("pytorch", written)


@pytest.mark.parametrize(
    ("written", "there", "expected"),
    [
        (place("mine:1"), [OURS], ChosenImage("mine:1", "user settings")),
        (place(), [OURS, CPU], ChosenImage(OURS, "built here")),
        (place(), [], ChosenImage(CPU, "published")),
        (place(pull="never"), [OURS], ChosenImage(OURS, "built here")),
        (place(pull="never"), [CPU], ChosenImage(CPU, "published")),
        # The alias of what was built here is in no registry: it cannot be pulled anew.
        (place(pull="always"), [OURS], ChosenImage(CPU, "published")),
    ],
)
def test_claim_10_3_an_image_is_the_one_that_is_named_else_the_one_built_here_else_the_published_one(
    written: BackendPlace, there: list[str], expected: ChosenImage
) -> None:
    assert chosen(written, *there) == expected


@pytest.mark.parametrize(
    ("cuda", "wants_gpus", "variant"),
    [(None, True, "cpu"), (13, False, "cpu"), (13, True, "cu13"), (99, True, "cu13"), (11, True, "cu13")],
    ids=["no driver", "no GPU is wanted", "13", "newer than any image", "older than any image"],
)
def test_claim_10_3_a_published_image_fits_the_driver_and_whether_gpus_are_wanted(
    cuda: int | None, wants_gpus: bool, variant: str
) -> None:
    name = chosen(place(), cuda=cuda, wants_gpus=wants_gpus).name
    assert name == f"{REGISTRY}/llem-pytorch:{__version__}-{variant}"
    assert variant_of(["other:1", name]) == variant


@pytest.mark.parametrize("mirror", ["mirror.example.org:5000/llem", " mirror.example.org:5000/llem/ "])
def test_claim_10_3_a_variable_names_another_registry_for_published_images(mirror: str) -> None:
    name = published_image("vllm", 13, {"LLEM_REGISTRY": mirror})
    assert name == f"mirror.example.org:5000/llem/llem-vllm:{__version__}-cu13"
    assert published_image("vllm", None, {"LLEM_REGISTRY": ""}).startswith(f"{REGISTRY}/")


@pytest.mark.parametrize(
    ("name", "parts", "registry"),
    [
        ("python", ("python", "", ""), "docker.io"),
        ("vllm/vllm-openai:v1", ("vllm/vllm-openai", "v1", ""), "docker.io"),
        ("localhost:5000/a/b", ("localhost:5000/a/b", "", ""), "localhost:5000"),
        ("127.0.0.1:5000/a:1@sha256:00", ("127.0.0.1:5000/a", "1", "sha256:00"), "127.0.0.1:5000"),
        ("ghcr.io/a/b@sha256:00", ("ghcr.io/a/b", "", "sha256:00"), "ghcr.io"),
    ],
)
def test_names_of_images_are_taken_apart_as_docker_does(name: str, parts: tuple[str, str, str], registry: str) -> None:
    assert (parts_of(name), registry_of(name)) == (parts, registry)
    assert by_digest(name, "sha256:11") == f"{parts[0]}@sha256:11"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mirror:5000/vllm/vllm-openai:v1", "sha256:b"),
        ("vllm/vllm-openai:v1", "sha256:a"),
        ("docker.io/vllm/vllm-openai:v1", "sha256:a"),
        ("sha256:id", "sha256:a"),
    ],
)
def test_claim_10_3_the_digest_is_that_of_the_repository_the_image_was_asked_from(name: str, expected: str) -> None:
    known = ["vllm/vllm-openai@sha256:a", "mirror:5000/vllm/vllm-openai@sha256:b"]
    assert digest_for(name, known) == expected
    assert digest_for(name, []) is None
