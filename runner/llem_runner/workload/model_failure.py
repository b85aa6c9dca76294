"""What an engine or tokenizer raises about a model folder → `RunFailed` of kind model, in words for people."""

from __future__ import annotations

from collections.abc import Sequence

from llem_runner.contract import FailureKind, RunFailed


def model_failure(doing: str, model_path: str, error: Exception) -> RunFailed:
    """`doing` begins the message ("Loading"); a model that brings its own code is told apart, with the key to set."""
    return model_failure_in_words(doing, model_path, type(error).__name__, str(error))


def model_failure_in_words(doing: str, model_path: str, error_name: str, text: str) -> RunFailed:
    """The same of an exception that is known by its type's name and its words: it was another process's."""
    if "trust_remote_code" in text:
        return RunFailed(
            FailureKind.MODEL,
            f"{model_path} brings code of its own, which is not run unless you trust it: then set "
            "trust_remote_code: true.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return RunFailed(
        FailureKind.MODEL,
        f"{doing} {model_path} failed: {error_name}: {lines[0] if lines else '(no message)'}",
    )


def missing_tensors(model_path: str, missing: Sequence[str]) -> RunFailed:
    """Engines fill such gaps with random numbers, or with what was in memory: that would be no real model."""
    return RunFailed(
        FailureKind.MODEL,
        f"The weights of {model_path} lack {len(missing)} tensors of its configuration ({missing[0]}, …).",
    )
