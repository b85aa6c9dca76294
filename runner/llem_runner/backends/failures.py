"""What torch and the engines on it raise → `RunFailed` with a kind and words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from llem_runner.contract import FailureKind, RunFailed
from llem_runner.disk import disk_failure


@contextmanager
def translating(translate: Callable[[Exception], RunFailed]) -> Iterator[None]:
    """Turn any exception into what `translate` makes of it; a `RunFailed` stays what it is."""
    try:
        yield
    except RunFailed:
        raise
    except Exception as error:
        raise translate(error) from error


def failing_as(explain: Callable[[Exception], RunFailed]) -> AbstractContextManager[None]:
    """Turn any exception into `RunFailed`: a full disk, out of GPU memory, a missing package, or else what `explain`
    makes of it."""
    return translating(lambda error: _failure(error, explain))


def _failure(error: Exception, explain: Callable[[Exception], RunFailed]) -> RunFailed:
    full = disk_failure(error)
    if full is not None:
        return full
    if out_of_memory(error):
        return RunFailed(
            FailureKind.ACCELERATOR_OOM,
            f"The GPU's memory is too small: {first_line(error)} Lower pytorch.batch_size, max_input_tokens or "
            "max_output_tokens, or choose a smaller precision.",
        )
    if isinstance(error, ImportError):
        return missing_package(error)
    return explain(error)


def missing_package(error: ImportError) -> RunFailed:
    """A package that is needed only now is not there."""
    return RunFailed(FailureKind.BACKEND, f"A package is missing: {first_line(error)}")


# torch has a type for its own allocator only. The driver (a context, a kernel's module) and the libraries' workspaces
# run out of memory too, as RuntimeError or AcceleratorError.
_OUT_OF_MEMORY = re.compile(
    r"(CUDA|HIP)( error:|) out of memory|CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_ALLOC_FAILED|cudaErrorMemoryAllocation"
)


def out_of_memory(error: Exception) -> bool:
    """Whether the GPU's memory was too small for what raised `error`."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def backend_failure(doing: str, error: Exception) -> RunFailed:
    """The engine cannot do what it was asked; `doing` begins the message."""
    return RunFailed(FailureKind.BACKEND, f"{doing} failed: {type(error).__name__}: {first_line(error)}")


def inference_failure(error: Exception) -> RunFailed:
    """Generating went wrong."""
    return RunFailed(FailureKind.INFERENCE, f"Generating failed: {type(error).__name__}: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """The first line of an error's message: torch and transformers append pages to it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "(no message)"
