"""What a run was asked to do and did: energy per token is compared only where that is the same. Pure.

Asked: the prompts and how they are written, cut and answered. Done: tokens per request, as they were counted. Model,
backend, precision and every other setting may differ; they are what is compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from llem_runner.contract import ExperimentConfig, ExperimentResult

Asked = tuple[tuple[str, str | int], ...]
"""The work of an experiment, by the keys of a study file."""

OUTPUT_TOLERANCE_PERCENT = 5.0
"""Without `output_length: fixed` answers end where the model ends them, and rounding moves that a little."""


def asked(config: ExperimentConfig) -> Asked:
    """The requests of an experiment: equal for experiments that can be compared."""
    recipe = config.synthetic
    return (
        ("dataset", "synthetic" if recipe else str(config.dataset)),
        ("n", config.n),
        ("prompt_format", config.prompt_format),
        ("max_input_tokens", config.input_limit),
        ("max_output_tokens", config.output_limit),
        ("output_length", "fixed" if config.output_fixed else "stop"),
    )


def other_work(reference: ExperimentConfig, config: ExperimentConfig) -> str | None:
    """What of the work differs, in words; None where the same was asked."""
    pairs = zip(asked(reference), asked(config), strict=True)
    differing = [f"{name} {one} and {other}" for (name, one), (_, other) in pairs if one != other]
    return f"other work: {', '.join(differing)}" if differing else None


def other_tokens(reference: Sequence[ExperimentResult], runs: Sequence[ExperimentResult]) -> str | None:
    """Whether the tokens per request differ, in words; None where they are the same. Both have the same cycles.

    Input tokens must be equal, output tokens within `OUTPUT_TOLERANCE_PERCENT`.
    """
    inputs, outputs = ([_per_request(side, kind) for side in (reference, runs)] for kind in ("input", "output"))
    if inputs[0] != inputs[1]:
        return f"other tokens: {inputs[0]:g} and {inputs[1]:g} input tokens a request"
    if abs(outputs[1] - outputs[0]) > OUTPUT_TOLERANCE_PERCENT / 100 * min(outputs):
        return (
            f"other tokens: {outputs[0]:.4g} and {outputs[1]:.4g} output tokens a request (with output_length: fixed "
            "they are equal)"
        )
    return None


def _per_request(runs: Sequence[ExperimentResult], kind: str) -> float:
    requests = sum(run.requests.completed for run in runs)
    return sum(getattr(run.tokens, kind) for run in runs) / requests if requests else 0.0
