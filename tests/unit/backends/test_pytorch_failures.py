"""What torch raises, as kinds."""

from __future__ import annotations

import pytest
import torch

from llem_runner.backends.pytorch.failures import failing_as, inference_failure
from llem_runner.contract import FailureKind, RunFailed


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried …"), FailureKind.ACCELERATOR_OOM, "out of memory. Lower"),
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


def test_a_stop_that_is_no_exception_passes_through() -> None:
    with pytest.raises(KeyboardInterrupt), failing_as(inference_failure):
        raise KeyboardInterrupt
