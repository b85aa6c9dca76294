"""Where the pytorch backend computes: pure decisions."""

from __future__ import annotations

import pytest

from llem_runner.backends.device import check_placement, choose_device
from llem_runner.contract import FailureKind, RunFailed

CPU_BUILD, CUDA_BUILD = "torch 2.13.0+cpu", "torch 2.13.0+cu130"


@pytest.mark.parametrize(
    ("requested", "gpu_count", "cuda_count", "simulated", "device"),
    [
        ("auto", 0, 0, False, "cpu"),
        ("auto", 0, 4, False, "cpu"),
        ("cpu", 0, 0, False, "cpu"),
        ("auto", 1, 1, False, "cuda:0"),
        ("cuda", 2, 2, False, "cuda:0"),
        ("auto", 1, 0, True, "cpu"),
        ("cpu", 1, 0, True, "cpu"),
        ("auto", 1, 1, True, "cuda:0"),
    ],
)
def test_the_device_follows_the_allocation(
    requested: str, gpu_count: int, cuda_count: int, simulated: bool, device: str
) -> None:
    assert choose_device(requested, gpu_count, cuda_count, CUDA_BUILD, simulated) == device  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("requested", "gpu_count", "cuda_count", "simulated", "words"),
    [
        ("auto", 1, 0, False, r"2\.13\.0\+cpu can use 0"),
        ("cuda", 1, 0, False, "beside an idle GPU"),
        ("cuda", 1, 0, True, "beside an idle GPU"),
        ("auto", 2, 1, False, "2 GPUs were allocated"),
        ("cpu", 1, 1, False, "device: cpu"),
        ("cuda", 0, 0, False, "no GPU was allocated"),
    ],
)
def test_claim_13_a_real_gpu_that_would_not_be_computed_on_is_a_backend_error(
    requested: str, gpu_count: int, cuda_count: int, simulated: bool, words: str
) -> None:
    with pytest.raises(RunFailed, match=words) as caught:
        choose_device(requested, gpu_count, cuda_count, CPU_BUILD, simulated)  # type: ignore[arg-type]
    assert caught.value.kind is FailureKind.BACKEND


def test_claim_13_a_model_that_a_device_map_puts_wholly_beside_the_gpu_is_a_backend_error() -> None:
    with pytest.raises(RunFailed, match=r"all of it lies on cpu.*device_map") as caught:
        check_placement("cuda:0", {"cpu"}, 1)
    assert caught.value.kind is FailureKind.BACKEND
    check_placement("cuda:0", {"cuda:0", "meta"}, 1)
    check_placement("cpu", {"cpu"}, 0)


def test_claim_13_an_allocated_gpu_that_would_compute_nothing_is_a_backend_error_with_both_numbers() -> None:
    with pytest.raises(RunFailed, match=r"2 GPUs were allocated, but the model lies on 1 of them \(cuda:0\)") as caught:
        check_placement("cuda:0", {"cuda:0", "cpu"}, 2)
    assert caught.value.kind is FailureKind.BACKEND
    check_placement("cuda:0", {"cuda:0", "cuda:1"}, 2)
    # Simulated boards are not counted.
    check_placement("cuda:0", {"cuda:0"}, 0)
