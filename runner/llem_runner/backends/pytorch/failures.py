"""What torch and transformers raise → `RunFailed` with a kind and words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from llem_runner.contract import FailureKind, RunFailed


@contextmanager
def failing_as(explain: Callable[[Exception], RunFailed]) -> Iterator[None]:
    """Turn any exception into `RunFailed`: out of GPU memory, a missing package, or else what `explain` makes of it."""
    try:
        yield
    except RunFailed:
        raise
    except torch.OutOfMemoryError as error:
        raise RunFailed(
            FailureKind.ACCELERATOR_OOM,
            f"The GPU's memory is too small: {first_line(error)} Lower pytorch.batch_size, max_input_tokens or "
            "max_output_tokens, or choose a smaller precision.",
        ) from error
    except ImportError as error:
        raise RunFailed(FailureKind.BACKEND, f"A package is missing: {first_line(error)}") from error
    except Exception as error:
        raise explain(error) from error


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
