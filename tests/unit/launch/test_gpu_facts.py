"""Which CUDA software asks for, and which drivers can do it."""

from __future__ import annotations

import pytest

from llem.launch.gpu_facts import CudaVersion, cuda_needed, cuda_version, runs_on


@pytest.mark.parametrize(
    ("environment", "torch_cuda", "needed"),
    [
        (["CUDA_VERSION=13.0.1"], None, (13, 0)),
        (["NVIDIA_REQUIRE_CUDA=cuda>=12.4 brand=tesla,driver>=470,driver<471"], None, (12, 4)),
        # What it computes with counts, not what the base image brings.
        (["CUDA_VERSION=12.4.1", "NVIDIA_REQUIRE_CUDA=cuda>=12.4"], "12.8", (12, 8)),
        (["NVIDIA_REQUIRE_CUDA=cuda>=11.8", "CUDA_VERSION=12.1"], None, (11, 8)),
        (["CUDA_VERSION=none", "PATH=/bin"], None, None),
        ([], None, None),
    ],
)
def test_claim_10_7_what_an_image_asks_of_the_driver(
    environment: list[str], torch_cuda: str | None, needed: CudaVersion | None
) -> None:
    assert cuda_needed(environment, torch_cuda) == needed


@pytest.mark.parametrize(
    ("driver", "needed", "runs"),
    [
        ((12, 4), (12, 4), True),
        ((13, 0), (12, 8), True),
        ((12, 4), (12, 8), True),  # minor version compatibility
        ((12, 8), (13, 0), False),
        ((11, 4), (11, 8), True),
        ((10, 1), (10, 2), False),  # before CUDA 11 there is none
        ((10, 2), (10, 1), True),
        ((13, 0), (9, 2), True),
    ],
)
def test_claim_10_7_a_driver_runs_what_is_older_and_from_cuda_11_on_all_of_its_major_version(
    driver: CudaVersion, needed: CudaVersion, runs: bool
) -> None:
    assert runs_on(driver, needed) is runs


@pytest.mark.parametrize(("text", "version"), [("12.8", (12, 8)), ("13.0.1", (13, 0)), ("x", None), (None, None)])
def test_versions_are_read_as_they_are_written(text: str | None, version: CudaVersion | None) -> None:
    assert cuda_version(text) == version
