"""What an engine says when it refuses: which kind of failure that is, and what a person is advised to look at."""

from __future__ import annotations

import pytest

from llem.launch.docker.faults import kind_of, refused

SAID: dict[str, tuple[str, str]] = {
    "network nonet not found": ("image_unusable", "docker.network"),
    "No such container: nope": ("image_unusable", "docker.network"),
    "Minimum memory limit allowed is 6MB": ("image_unusable", "docker.memory_limit"),
    "SHM size can not be less than 0": ("image_unusable", "docker.shm_size"),
    'error mounting "tmpfs" to rootfs at "/model/data": mkdir /merged/model/data: read-only file system: unknown': (
        "image_unusable",
        "Check the image",
    ),
    "mkdir /var/lib/docker/overlay2/abc: read-only file system": ("disk", "Make room"),
    "write /var/lib/docker/x: no space left on device": ("disk", "Make room"),
    "OCI runtime create failed: something nobody knows": ("image_unusable", "Check the image, and the study's docker"),
}


@pytest.mark.parametrize("said", SAID, ids=lambda said: said[:20])
def test_claim_6_13_what_an_engine_refuses_for_decides_the_kind_and_the_advice(said: str) -> None:
    kind, advice = SAID[said]
    failure = refused(kind_of(said), "The container could not be started", said)
    assert str(failure.kind) == kind
    assert said in failure.message
    assert advice in failure.message
