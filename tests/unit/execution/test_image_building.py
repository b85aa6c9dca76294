"""Images are built and pushed by the docker command. Here a stand-in for it notes how it was called: no buildx, which
attests, is to be had. Builds by the real one: tests/integration/engine/test_image_builds.py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from llem.errors import NotReadyError
from llem.execution.image_building import CHECKOUT, BuildOrder, build_images
from llem.execution.source_revision import public_address, source_revision
from llem.version import __version__

Stand = Callable[..., Path]
REGISTRY = "registry.example.org/me"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Puts a `docker` on the PATH that notes its arguments and says what `buildx inspect` would; the file of notes."""

    def put(driver: str = "", fails_at: str = "never") -> Path:
        notes = tmp_path / "calls"
        inspect = f"echo 'Driver:  {driver}'; exit 0" if driver else "exit 1"
        script = f"""#!/bin/sh
            case "$*" in
            "buildx inspect") {inspect};;
            *"{fails_at}"*) echo "$*" >> {notes}; seq -f 'line %g' 30; exit 7;;
            *) echo "$*" >> {notes}; echo '#5 [2/6] RUN install';;
            esac
        """
        (tmp_path / "docker").write_text(script)
        (tmp_path / "docker").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        return notes

    return put


def built(order: BuildOrder, checkout: Path = CHECKOUT) -> tuple[list[str], list[str]]:
    """Names of what was built, and everything that was said."""
    said: list[str] = []
    return [image.name for image in build_images(order, said.append, said.append, checkout)], said


def test_claim_10_11_where_buildx_can_attest_images_go_to_the_registry_with_provenance_and_sbom(
    stand_in: Stand,
) -> None:
    notes = stand_in("docker-container")
    names, said = built(BuildOrder(backends=["vllm"], variant="cuda", registry=REGISTRY))
    pytorch, vllm = names
    assert names == [f"{REGISTRY}/llem-{each}:{__version__}-cu13" for each in ("pytorch", "vllm")]
    first, second = notes.read_text().splitlines()
    for call, name in ((first, pytorch), (second, vllm)):
        assert call.startswith("buildx build ")
        assert "--provenance mode=max --sbom true --push" in call
        assert f"--tag {name} " in call
    # Its builder sees no image of the engine: what it builds on is the registry's.
    assert f"BASE_IMAGE={pytorch} " in second
    assert "BASE_IMAGE" not in first
    assert "[2/6] RUN install" in said


@pytest.mark.parametrize(("driver", "why"), [("", "no buildx"), ("docker", "the engine's own")])
def test_claim_10_11_where_nothing_can_attest_it_is_said(stand_in: Stand, driver: str, why: str) -> None:
    notes = stand_in(driver, fails_at="build --progress")
    said: list[str] = []
    with pytest.raises(NotReadyError):
        list(build_images(BuildOrder(backends=["pytorch"], variant="cpu", registry=REGISTRY), said.append, said.append))
    assert "without provenance and SBOM" in said[0]
    assert why in said[0]
    assert notes.read_text().startswith("build --progress plain")


def test_claim_10_2_a_build_that_fails_shows_its_last_lines(stand_in: Stand) -> None:
    stand_in(fails_at="build --progress")
    with pytest.raises(NotReadyError) as failure:
        built(BuildOrder(backends=["pytorch"], variant="cpu"))
    first, *lines = str(failure.value).splitlines()
    assert first == f"llem-pytorch:{__version__}-cpu could not be built: docker build ended with 7."
    assert lines == [f"line {number}" for number in range(11, 31)]


def test_claim_10_2_without_a_checkout_nothing_is_built_and_what_to_do_is_said(stand_in: Stand, tmp_path: Path) -> None:
    notes = stand_in()
    with pytest.raises(NotReadyError, match=r"images/pytorch/Dockerfile.*checkout.*llem images pull"):
        built(BuildOrder(backends=["pytorch"], variant="cpu"), tmp_path)
    assert not notes.exists()


def test_claim_10_2_without_a_docker_command_what_to_install_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotReadyError, match=r"`docker` command.*install"):
        built(BuildOrder(backends=["pytorch"], variant="cpu"))


@pytest.mark.parametrize(
    ("origin", "public"),
    [
        ("https://example.org/me/llem.git\n", "https://example.org/me/llem"),
        ("https://me:secret@example.org:8443/llem", "https://example.org:8443/llem"),
        ("git@example.org:me/llem.git", ""),
        ("/home/me/llem", ""),
        ("", ""),
    ],
)
def test_claim_10_1_the_label_of_the_source_is_a_public_address_without_secrets(origin: str, public: str) -> None:
    assert public_address(origin) == public


def test_claim_10_1_the_same_commit_has_the_same_labels_and_an_edit_is_told(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    outside = source_revision(tmp_path)
    assert (outside.commit, outside.source, outside.created != "") == ("", "", True)
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first", "--date", "2026-01-02T03:04:05Z")
    first = source_revision(tmp_path)
    assert first == source_revision(tmp_path)
    assert len(first.commit) == 40
    (tmp_path / "file").write_text("2")
    assert source_revision(tmp_path).commit == f"{first.commit}-dirty"
