"""What a container is to be shown: there, and written in a way that the engine takes for what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.launch.docker.engine import EngineFacts, EngineImage
from llem.launch.docker.mounts import check_shown, check_volumes
from llem.launch.docker.request import Shown
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

DOCKER = EngineFacts("Docker 28.3.0", 1 << 34)
SELINUX = EngineFacts("Docker 28.3.0", 1 << 34, selinux=True)
PODMAN = EngineFacts("Podman 5.4.0", 1 << 34, podman=True)


@pytest.mark.parametrize(
    ("name", "facts", "inside", "kind"),
    [
        ("a:b", SELINUX, "/model", FailureKind.MODEL),
        ("a:b", SELINUX, "/exchange/in", FailureKind.DISK),
        ("a,b", PODMAN, "/exchange/in", FailureKind.DISK),
        ("a:b", PODMAN, "/model", None),
        ("a:b", DOCKER, "/model", None),
        ("a,b", DOCKER, "/model", None),
        ("a,b", SELINUX, "/model", None),
    ],
)
def test_claim_6_8_a_path_that_the_engine_would_divide_is_refused(
    tmp_path: Path, name: str, facts: EngineFacts, inside: str, kind: FailureKind | None
) -> None:
    (tmp_path / name).mkdir()
    shown = [Shown(tmp_path / name, inside)]
    if kind is None:
        check_shown(shown, facts)
        return
    with pytest.raises(LaunchFailed, match="cannot be mounted") as refusal:
        check_shown(shown, facts)
    assert refusal.value.kind is kind


@pytest.mark.parametrize("facts", [DOCKER, SELINUX, PODMAN], ids=["docker", "selinux", "podman"])
def test_claim_6_8_a_model_that_is_gone_is_the_models_fault_on_every_engine(tmp_path: Path, facts: EngineFacts) -> None:
    with pytest.raises(LaunchFailed, match="is not there") as refusal:
        check_shown([Shown(tmp_path / "gone", "/model")], facts)
    assert refusal.value.kind is FailureKind.MODEL
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("volume", "refused"),
    [("/model/data", True), ("/model//data/", True), ("/adapter/x", True), ("/model", False), ("/models/x", False)],
)
def test_claim_6_8_a_volume_within_the_models_folder_is_refused(volume: str, refused: bool) -> None:
    image = EngineImage("mine:1", "sha256:a", "sha256:a", volumes=(volume,))
    if not refused:
        check_volumes(image)
        return
    with pytest.raises(LaunchFailed, match="declares a volume at") as refusal:
        check_volumes(image)
    assert refusal.value.kind is FailureKind.IMAGE_UNUSABLE
