"""Names, arguments and order of the images that are built here."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.launch.docker import Recipe, Revision, Variant, published_name, with_what_they_are_built_on
from llem.version import __version__

CHECKOUT = Path("/checkout")


def recipe(variant: Variant = "cpu", **more: object) -> Recipe:
    return Recipe(checkout=CHECKOUT, backend="pytorch", variant=variant, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("variant", "suffix"), [("cpu", "cpu"), ("cuda", "cu13")])
def test_claim_10_2_an_image_is_called_by_backend_version_and_what_it_is_built_for(
    variant: Variant, suffix: str
) -> None:
    made = recipe(variant)
    assert made.name == f"llem-pytorch:{__version__}-{suffix}"
    assert made.alias == f"llem-pytorch:{__version__}"
    assert published_name("Registry.example.org/Me/", made) == f"registry.example.org/me/{made.name}"


def test_claim_10_1_only_the_cpu_variant_takes_wheels_from_torchs_own_index() -> None:
    assert "whl/cpu" in recipe("cpu").build_arguments()["INSTALL_FLAGS"]
    assert recipe("cuda").build_arguments()["INSTALL_FLAGS"] == ""


def test_claim_10_1_a_build_is_told_its_source_and_what_somebody_asks_for_wins() -> None:
    made = recipe(
        base="python:3.12", revision=Revision(source="https://e.org/l", commit="c0ffee", created="2026-01-02T03:04:05Z")
    )
    arguments = made.build_arguments()
    assert (arguments["SOURCE"], arguments["REVISION"], arguments["VERSION"]) == (
        "https://e.org/l",
        "c0ffee",
        __version__,
    )
    assert (arguments["CREATED"], arguments["BASE_IMAGE"]) == ("2026-01-02T03:04:05Z", "python:3.12")
    assert "BASE_IMAGE" not in recipe().build_arguments()
    assert recipe(arguments={"VARIANT": "mine"}).build_arguments()["VARIANT"] == "mine"


def test_claim_10_2_the_context_comes_last_and_every_name_is_a_tag() -> None:
    options = recipe(network="none").options(["a", "b"])
    assert options[:8] == [
        "--file",
        "/checkout/images/pytorch/Dockerfile",
        "--network",
        "none",
        *["--tag", "a", "--tag", "b"],
    ]
    assert options[-1] == "/checkout"


@pytest.mark.parametrize("asked", [["vllm"], ["vllm", "pytorch"], ["pytorch", "vllm"]])
def test_claim_10_2_what_an_image_is_built_on_is_built_before_it_and_once(asked: list[str]) -> None:
    assert with_what_they_are_built_on(asked) == ["pytorch", "vllm"]
    assert with_what_they_are_built_on(["pytorch"]) == ["pytorch"]
