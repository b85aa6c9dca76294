"""What torch raises, as kinds."""

from __future__ import annotations

import errno

import pytest
import torch

from llem_runner.backends.failures import failing_as, inference_failure
from llem_runner.contract import FailureKind, RunFailed
from llem_runner.lifeline import Stopped


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried …"), FailureKind.ACCELERATOR_OOM, "out of memory. Lower"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors …"), FailureKind.ACCELERATOR_OOM, "too small"),
        (torch.AcceleratorError("CUDA error: out of memory"), FailureKind.ACCELERATOR_OOM, "too small"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when …"), FailureKind.ACCELERATOR_OOM, "too small"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), FailureKind.ACCELERATOR_OOM, "too small"),
        (ValueError("CUDA out of memory"), FailureKind.INFERENCE, "ValueError"),
        (RuntimeError("CUDA error: unspecified launch failure"), FailureKind.INFERENCE, "launch failure"),
        (OSError(errno.ENOSPC, "No space left on device"), FailureKind.DISK, "No space left"),
        (OSError(errno.ENOENT, "not there"), FailureKind.INFERENCE, "not there"),
        (ImportError("no flash_attn"), FailureKind.BACKEND, "no flash_attn"),
        (RuntimeError("\nboom\nand a page more"), FailureKind.INFERENCE, "RuntimeError: boom$"),
        (ValueError(), FailureKind.INFERENCE, "no message"),
        (RunFailed(FailureKind.GPU_LOST, "gone"), FailureKind.GPU_LOST, "gone"),
    ],
)
def test_an_exception_becomes_a_kind_and_one_line(error: Exception, kind: FailureKind, words: str) -> None:
    with pytest.raises(RunFailed, match=words) as caught, failing_as(inference_failure):
        raise error
    assert caught.value.kind is kind


def test_a_stop_passes_through_as_what_it_is() -> None:
    with pytest.raises(Stopped), failing_as(inference_failure):
        raise Stopped


def test_a_stop_that_is_no_exception_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt), failing_as(inference_failure):
        raise KeyboardInterrupt
