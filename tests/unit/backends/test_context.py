"""Requests of fixed length that an engine would cut at its context."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner.backends.context import check_fixed_length_fits, cut_at_context
from llem_runner.backends.protocol import RequestOutput
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed


def check(longest: int, context_tokens: int, **keys: Any) -> None:
    config = ExperimentConfig.model_validate({"model": "m", "max_output_tokens": 10, **keys})
    check_fixed_length_fits(config, [[1], [1] * longest], context_tokens, "vllm.engine.max_model_len")


def test_claim_9_4_a_request_that_would_be_cut_is_refused_with_what_to_raise_or_lower() -> None:
    words = "A prompt of 23 tokens and 10 output tokens do not fit .* 32 tokens.* raise vllm.engine.max_model_len, or"
    with pytest.raises(RunFailed, match=words) as caught:
        check(23, 32, output_length="fixed")
    assert caught.value.kind is FailureKind.BACKEND


def test_claim_9_4_one_that_just_fits_is_not_and_neither_is_one_that_may_end_early() -> None:
    check(22, 32, output_length="fixed")
    check(23, 32, output_length="stop")


@pytest.mark.parametrize(
    ("input_tokens", "answer", "cut"),
    [
        (12, (5, 6, 7, 8), True),
        (11, (5, 6, 7, 8), False),  # there was room for one more
        (12, (5, 6, 7, 2), False),  # its stop token was the last that fitted
        (6, tuple(range(3, 13)), False),  # as long as it was to be
        (16, (), True),
    ],
)
def test_claim_9_4_an_answer_that_ended_because_the_context_was_full_is_counted(
    input_tokens: int, answer: tuple[int, ...], cut: bool
) -> None:
    output = RequestOutput(answer, input_tokens, started_s=0.0, finished_s=1.0)
    assert cut_at_context([output], context_tokens=16, output_limit=10, stop_token_ids=(2,)) == cut
