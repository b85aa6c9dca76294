"""What fits into an engine's context."""

from __future__ import annotations

from collections.abc import Sequence

from llem_runner.backends.protocol import RequestOutput
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed


def check_fixed_length_fits(
    config: ExperimentConfig, prompts: Sequence[Sequence[int]], context_tokens: int, key: str
) -> None:
    """Raise `RunFailed` of kind backend where a request of fixed length would be cut at the engine's context.

    For an engine that ends a request there without a word: fewer tokens than asked for would pass for equal work.
    `key` is what the experiment sets the context by.
    """
    longest = max((len(prompt) for prompt in prompts), default=0)
    if config.output_fixed and longest + config.output_limit > context_tokens:
        raise RunFailed(
            FailureKind.BACKEND,
            f"A prompt of {longest} tokens and {config.output_limit} output tokens do not fit into the engine's "
            f"context of {context_tokens} tokens, and every request is to have its full length: raise {key}, or lower "
            "max_input_tokens or max_output_tokens.",
        )


def cut_at_context(
    outputs: Sequence[RequestOutput], context_tokens: int, output_limit: int, stop_token_ids: Sequence[int]
) -> int:
    """How many answers ended because the engine's context was full: neither by a stop token nor by their limit."""
    return sum(
        len(output.token_ids) < output_limit
        and output.input_tokens + len(output.token_ids) >= context_tokens
        and output.token_ids[-1:] not in [(stop,) for stop in stop_token_ids]
        for output in outputs
    )
