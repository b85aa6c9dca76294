"""Which image a name of a registry means: what `pull` says, tags that moved, and what a study began with."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from puller import Puller
from registry import Registry

from llem.launch.docker.pull import PullPolicy, WantedImage
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind


def test_claim_10_4_always_says_so_where_the_registry_fails_and_an_image_of_that_name_is_there(
    puller: Puller, public: Registry, repository: str
) -> None:
    digest = public.put(f"{repository}:1", [{"a": secrets.token_bytes(5)}])
    name = f"{public.address}/{repository}:1"
    puller(WantedImage(name))
    public.stop()
    try:
        puller(WantedImage(name))
        [failure] = puller.failures(WantedImage(name, "always")).values()
    finally:
        public.start()
    assert failure.kind is FailureKind.IMAGE_PULL
    assert failure.message.endswith("The engine has an image of that name, which pull: missing would take.")
    assert puller.found(name) == digest


@pytest.mark.parametrize(
    ("policy", "takes_the_new_one"), [("missing", False), ("always", True)], ids=["missing", "always"]
)
def test_claim_10_4_of_a_tag_that_moved_always_takes_the_new_image_and_missing_keeps_the_old_one(
    puller: Puller, public: Registry, repository: str, policy: PullPolicy, takes_the_new_one: bool
) -> None:
    wanted = WantedImage(f"{public.address}/{repository}:1", policy)
    old = public.put(f"{repository}:1", [{"a": b"old"}])
    puller(wanted)
    new = public.put(f"{repository}:1", [{"a": b"new"}])
    puller(wanted)
    assert puller.found(wanted.name) == (new if takes_the_new_one else old)


@pytest.mark.parametrize("policy", ["missing", "always"])
def test_claim_10_4_a_study_that_goes_on_keeps_the_digest_it_began_with_wherever_its_tag_moved(
    puller: Puller, public: Registry, repository: str, client: Any, policy: PullPolicy
) -> None:
    name = f"{public.address}/{repository}:1"
    old = public.put(f"{repository}:1", [{"a": b"old"}])
    puller(WantedImage(name))
    public.put(f"{repository}:1", [{"a": b"new"}])
    puller(WantedImage(name, "always"))
    client.images.remove(f"{public.address}/{repository}@{old}")
    puller(WantedImage(name, policy, digest=old))
    assert puller.found(name, old) == old
    assert puller.notices == []


def test_claim_10_4_an_image_of_another_architecture_is_named_before_it_runs(
    puller: Puller, public: Registry, repository: str
) -> None:
    public.put(f"{repository}:1", [{"a": b"a"}], architecture="riscv64")
    name = f"{public.address}/{repository}:1"
    puller(WantedImage(name))
    with pytest.raises(LaunchFailed) as refused:
        puller.found(name)
    assert refused.value.kind is FailureKind.IMAGE_UNUSABLE
    assert f"Image {name} is made for riscv64" in refused.value.message
