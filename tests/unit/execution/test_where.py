"""Where runs happen: what `runners` says, what this machine has today, and what becomes of both."""

from __future__ import annotations

from typing import Literal

import pytest

from llem.errors import CliExit, NotReadyError
from llem.execution.image_choice import ImagesHere
from llem.execution.where import BackendWhere, choose_where
from llem.launch.docker import default_image, published_image
from llem.study.settings import BackendPlace

Runner = Literal["auto", "docker", "local"]

OURS = default_image("pytorch")
PUBLISHED = published_image("pytorch", None, {})
LOCAL = BackendWhere(launcher="local")


def in_image(name: str) -> BackendWhere:
    return BackendWhere(launcher="docker", image=name)


def place(runner: Runner, image: str | None = None) -> BackendPlace:
    return BackendPlace(runner, image, "missing", "study", "study")


def here(*images: str, cuda: int | None = None, wants_gpus: bool = True) -> ImagesHere:
    return ImagesHere(images.__contains__, lambda: cuda, wants_gpus)


def not_asked(*_: object) -> bool:
    raise AssertionError("an engine was asked though nothing depends on it")


@pytest.mark.parametrize(
    ("written", "answers", "images", "where", "why"),
    [
        (place("auto"), True, [OURS], in_image(OURS), ""),
        (place("auto"), True, [PUBLISHED], in_image(PUBLISHED), ""),
        (place("auto"), False, [], LOCAL, "No container engine answers"),
        (place("auto"), True, [], LOCAL, f"A container engine answers, but has no image {OURS}"),
        # An image that somebody named is meant, be it there or not: the launcher says which one is missing.
        (place("auto", "mine:1"), True, [], in_image("mine:1"), ""),
        (place("auto", "mine:1"), False, [], LOCAL, "No container engine answers"),
    ],
)
def test_claim_6_4_auto_means_docker_where_an_engine_answers_that_has_the_image(
    written: BackendPlace, answers: bool, images: list[str], where: BackendWhere, why: str
) -> None:
    choice = choose_where({"pytorch": written}, lambda: answers, here(*images), lambda backend: [])
    assert choice.where == {"pytorch": where}
    assert choice.why.startswith(why)
    assert bool(choice.why) == bool(why)


def test_claim_10_3_auto_pulls_where_the_image_is_not_there_and_the_backend_is_not_in_this_python() -> None:
    choice = choose_where({"vllm": place("auto")}, lambda: True, here(), lambda backend: [backend])
    assert (choice.where, choice.why) == ({"vllm": in_image(published_image("vllm", None, {}))}, "")


@pytest.mark.parametrize(
    ("written", "where"),
    [
        (place("docker", "mine:1"), in_image("mine:1")),
        (place("local"), LOCAL),
        (place("local", "mine:1"), LOCAL),
    ],
)
def test_claim_6_4_what_somebody_said_is_done_without_asking_an_engine(
    written: BackendPlace, where: BackendWhere
) -> None:
    choice = choose_where({"pytorch": written}, not_asked, ImagesHere(not_asked, not_asked), not_asked)
    assert (choice.where, choice.why) == ({"pytorch": where}, "")


@pytest.mark.parametrize(
    ("pytorch", "vllm", "expected"),
    [
        ("auto", "auto", ("docker", "docker")),
        ("docker", "auto", ("docker", "docker")),
        ("local", "auto", ("local", "docker")),
        ("local", "local", ("local", "local")),
    ],
)
def test_claim_6_4_of_several_backends_each_that_is_auto_runs_in_containers(
    pytorch: Runner, vllm: Runner, expected: tuple[str, str]
) -> None:
    places = {"pytorch": place(pytorch), "vllm": place(vllm)}
    asked = pytorch == "auto" or vllm == "auto"
    choice = choose_where(places, (lambda: True) if asked else not_asked, here(), not_asked)
    assert tuple(each.launcher for each in choice.where.values()) == expected


def test_claim_6_4_several_backends_and_no_engine_is_exit_3_that_says_what_can_be_done() -> None:
    with pytest.raises(NotReadyError) as refused:
        choose_where({"pytorch": place("local"), "vllm": place("auto")}, lambda: False, here(), not_asked)
    assert refused.value.exit_code == CliExit.NOT_READY == 3
    assert "pytorch, vllm in one study need containers, and no container engine answers" in str(refused.value)
    assert "runners: {vllm: local}" in str(refused.value)
