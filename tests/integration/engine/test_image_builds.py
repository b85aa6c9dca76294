"""`make images` and `make push` with the engine's own builder.

Of a checkout with a version of its own, since the images of this one's are what all the other tests run. Nearly nothing
is installed, so that it is quick.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_engine import BASE_IMAGE, PYTORCH_IMAGE, REPOSITORY, Engine, wheels_image
from engine_containers import ran
from registry import registry

from llem_runner.contract import CONTRACT_VERSION

VERSION = "0.0.0"
OFFLINE = f"--network none --build-arg WHEELS_IMAGE={wheels_image(REPOSITORY)}"
OFFLINE += " --build-arg INSTALL_FLAGS='--no-index --find-links /wheels'"
OCI = "org.opencontainers.image."
# A push packs every layer, which takes a minute for a base with compilers.
TINY = """
ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE}
COPY runner/llem_runner/__init__.py /
ARG VERSION
LABEL version=${VERSION}
"""

Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of VERSION, committed."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(REPOSITORY / name, folder)
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("orchestrator", "runner", "images"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=unwanted)
    (folder / "orchestrator/llem/version.py").write_text(f'__version__ = "{VERSION}"\n')
    for arguments in (["init"], ["add", "."], ["commit", "-m", "all"]):
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def make(engine: Engine, client: Any, checkout: Path) -> Iterator[Make]:
    """`make TARGET…` in the checkout, with this Python as its environment; the images are removed afterwards."""

    def run(*arguments: str, args: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "DOCKER_HOST": engine.host,
            "PATH": engine.programs.path(),
            "PYTHONPATH": f"{checkout}/orchestrator:{checkout}/runner",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        installed = ("-o", f"{sys.prefix}/.installed", f"VENV={sys.prefix}")
        command = ["make", "--silent", *installed, *arguments, f"ARGS={OFFLINE} {args}"]
        return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=600)

    yield run
    for image in client.images.list():
        for tag in image.tags:
            if f":{VERSION}" in tag:
                client.images.remove(tag)


def test_claim_10_2_make_images_builds_an_image_under_its_name_and_the_alias_with_its_labels(
    make: Make, client: Any, checkout: Path
) -> None:
    done = make("images", "BACKEND=pytorch", "VARIANT=cpu", args=f"--base {PYTORCH_IMAGE}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"llem-pytorch:{VERSION}-cpu  (")
    assert "RUN --mount" in done.stderr
    image = client.images.get(f"llem-pytorch:{VERSION}")
    assert set(image.tags) == {f"llem-pytorch:{VERSION}", f"llem-pytorch:{VERSION}-cpu"}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True).stdout.strip()
    labels = image.labels
    assert (labels[f"{OCI}version"], labels[f"{OCI}revision"]) == (VERSION, commit)
    assert (labels["org.llem.variant"], labels["org.llem.contract"]) == ("cpu", str(CONTRACT_VERSION))
    assert image.attrs["Config"]["User"] == "65532:65532"
    probed = ran(client, image.id, ["probe"])
    assert probed.exit_code == 0, probed.output

    # The same source is the same image: a study that is resumed, and its caches, find what they began with.
    again = make("images", "BACKEND=pytorch", "VARIANT=cpu", args=f"--base {PYTORCH_IMAGE}")
    assert again.returncode == 0, again.stderr
    assert client.images.get(f"llem-pytorch:{VERSION}").id == image.id


def test_claim_10_2_make_push_sends_what_it_built_on_top_of_each_other_to_a_registry(
    make: Make, client: Any, engine: Engine, checkout: Path, tmp_path: Path
) -> None:
    for backend in ("pytorch", "vllm"):
        (checkout / f"images/{backend}/Dockerfile").write_text(TINY)
    with registry(tmp_path / "registry", engine.programs) as here:
        done = make("push", f"REGISTRY={here.address}/Me", "BACKEND=vllm", "VARIANT=cpu")
        assert done.returncode == 0, done.stderr
        names = [f"{here.address}/me/llem-{backend}:{VERSION}-cpu" for backend in ("pytorch", "vllm")]
        assert [line.split()[0] for line in done.stdout.splitlines()] == names
        assert "without provenance and SBOM: this docker has no buildx" in done.stderr
        pytorch, vllm = (client.images.get(name) for name in names)
        layers = pytorch.attrs["RootFS"]["Layers"]
        assert vllm.attrs["RootFS"]["Layers"][: len(layers)] == layers
        client.images.remove(vllm.id, force=True)
        assert client.images.pull(names[1]).id == vllm.id


def test_claim_10_1_the_cuda_variant_installs_only_what_its_hashes_are_of(
    make: Make, client: Any, checkout: Path
) -> None:
    # Of the hundred packages the base has none, and most have no wheel here.
    lock = checkout / "images/pytorch/requirements-cuda.lock"
    lock.write_text(idna())
    done = make("images", "BACKEND=pytorch", "VARIANT=cuda", args=f"--base {BASE_IMAGE}")
    assert done.returncode == 0, done.stderr
    image = client.images.get(f"llem-pytorch:{VERSION}-cu13")
    assert image.labels["org.llem.variant"] == "cuda"
    assert ran(client, image.id, ["-c", "import idna"], entrypoint=["python3"]).exit_code == 0

    lock.write_text(f"{idna().split()[0]} --hash=sha256:{'0' * 64}\n")
    spoilt = make("images", "BACKEND=pytorch", "VARIANT=cuda", args=f"--base {BASE_IMAGE}")
    assert "Hash mismatch" in spoilt.stderr
    assert f"Error: llem-pytorch:{VERSION}-cu13 could not be built" in spoilt.stderr
    assert "Traceback" not in spoilt.stderr
    # What make itself ends with where a command did with 3.
    assert spoilt.returncode == 2
    assert "Error 3" in spoilt.stderr


def test_claim_10_2_a_tag_that_is_not_of_this_version_is_not_pushed(make: Make, client: Any) -> None:
    done = make("push", "REGISTRY=127.0.0.1:1", "TAG=v9.9.9")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"v9.9.9 is not of this version: v{VERSION}" in done.stderr
    assert make("push").returncode == 2


def idna() -> str:
    """The entry of a package of one file in the CUDA lock."""
    text = (REPOSITORY / "images/pytorch/requirements-cuda.lock").read_text()
    return text[text.index("idna==") :].partition("\njinja2")[0] + "\n"
