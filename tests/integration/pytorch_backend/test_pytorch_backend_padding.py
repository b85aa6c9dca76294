"""Padding of the pytorch backend, counted against what the real model is really given to compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tiny_model import Load, answers, copy_with_generation_config, no_sign, prompts_of

from llem_runner.backends.protocol import Backend, RequestOutput
from llem_runner.metrics.tokens import count_tokens

LENGTHS = (3, 40, 1, 33, 8)


@contextmanager
def positions_given(backend: Backend) -> Iterator[list[int]]:
    """Token positions of each forward call of the model inside."""
    model: Any = backend._loaded.generator.model  # type: ignore[attr-defined]
    given: list[int] = []
    handle = model.register_forward_pre_hook(
        lambda _module, _args, kwargs: given.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    try:
        yield given
    finally:
        handle.remove()


def computed(outputs: list[RequestOutput]) -> int:
    return sum(output.positions.computed for output in outputs if output.positions)


@pytest.mark.parametrize(
    "section",
    [
        {"batch_size": 1},
        {"batch_size": 2},
        {"batch_size": 5},
        {"batch_size": 2, "batch_order": "by_length"},
        {"batch_size": 2, "use_cache": False},
        {"batch_size": 2, "num_beams": 3},
        {"batch_size": 2, "cache_implementation": "static"},
    ],
    ids=str,
)
def test_claim_9_12_computed_tokens_are_those_that_the_model_was_given(load: Load, section: dict[str, Any]) -> None:
    backend = load(pytorch=section)
    prompts = prompts_of(backend, *LENGTHS)
    with positions_given(backend) as given:
        outputs = backend.generate(prompts, no_sign)
    assert computed(outputs) == sum(given)


@pytest.mark.parametrize("use_cache", [True, False])
def test_claim_9_12_a_row_that_has_ended_is_padding_from_then_on(
    load: Load, folder: Path, tmp_path: Path, use_cache: bool
) -> None:
    backend = load(pytorch={"use_cache": use_cache, "batch_size": 2})
    prompts = prompts_of(backend, 9, 9)
    first, second = answers(backend.generate(prompts, no_sign))
    stop = next(token for token in first[:-1] if token not in second)
    stopping = load(
        copy_with_generation_config(folder, tmp_path / "model", eos_token_id=stop),
        pytorch={"use_cache": use_cache, "batch_size": 2},
    )
    with positions_given(stopping) as given:
        outputs = stopping.generate(prompts, no_sign)
    assert computed(outputs) == sum(given)
    early, late = (output.positions for output in outputs)
    assert early
    assert late
    assert early.padding > 0
    assert late.padding == 0


def test_claim_9_12_prompts_of_one_length_have_no_padding(load: Load) -> None:
    backend = load(pytorch={"batch_size": 2}, output_length="fixed")
    tokens = count_tokens(backend.generate(prompts_of(backend, 7, 7), no_sign))
    assert tokens.padding_share == 0
    assert tokens.computed == tokens.total - 2, "an answer's last token is not computed"


def test_claim_9_12_batches_by_length_give_the_same_answers_in_the_same_order_with_less_padding(load: Load) -> None:
    as_written = load(pytorch={"batch_size": 2})
    prompts = prompts_of(as_written, *LENGTHS)
    before = as_written.generate(prompts, no_sign)
    by_length = load(pytorch={"batch_size": 2, "batch_order": "by_length"})
    after = by_length.generate(prompts, no_sign)
    assert answers(after) == answers(before)
    assert [output.input_tokens for output in after] == list(LENGTHS)
    saved = (count_tokens(before).padding_share, count_tokens(after).padding_share)
    assert saved[0] is not None
    assert saved[1] is not None
    assert saved[1] < saved[0] / 2
    assert by_length.facts().effective["batch_order"] == "by_length"


def test_claim_9_12_of_guessed_tokens_it_is_not_told_how_many_were_computed(load: Load) -> None:
    backend = load(pytorch={"prompt_lookup_num_tokens": 3})
    outputs = backend.generate(prompts_of(backend, 20), no_sign)
    assert count_tokens(outputs).computed is None
    assert count_tokens(outputs).padding_share is None
