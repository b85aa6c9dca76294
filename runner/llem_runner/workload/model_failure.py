"""What an engine or tokenizer raises about a model folder → `RunFailed` of kind model, in words for people."""

from __future__ import annotations

from llem_runner.contract import FailureKind, RunFailed


def model_failure(doing: str, model_path: str, error: Exception) -> RunFailed:
    """`doing` begins the message ("Loading"); a model that brings its own code is told apart, with the key to set."""
    text = str(error)
    if "trust_remote_code" in text:
        return RunFailed(
            FailureKind.MODEL,
            f"{model_path} brings code of its own, which is not run unless you trust it: then set "
            "trust_remote_code: true.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return RunFailed(
        FailureKind.MODEL,
        f"{doing} {model_path} failed: {type(error).__name__}: {lines[0] if lines else '(no message)'}",
    )
