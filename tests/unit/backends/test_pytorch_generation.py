"""The pure parts of generation: padding, cutting at the stop token, settings."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner.backends.pytorch.generation import generation_settings, up_to_stop
from llem_runner.contract import ExperimentConfig


@pytest.mark.parametrize(
    ("token_ids", "stops", "counted"),
    [
        ([5, 6, 7], [], 3),
        ([5, 6, 7], [9], 3),
        ([5, 9, 0, 0], [9], 2),
        ([9, 9, 9], [9], 1),
        ([5, 6, 8, 9], [9, 8], 3),
        ([], [9], 0),
    ],
)
def test_claim_10_tokens_count_up_to_and_including_the_first_stop_token(
    token_ids: list[int], stops: list[int], counted: int
) -> None:
    assert up_to_stop(token_ids, stops) == tuple(token_ids[:counted])


def settings_of(passthrough: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    config = ExperimentConfig.model_validate({"model": "m", "max_output_tokens": 9, **keys})
    return generation_settings(config, [2, 3], pad_token_id=0, passthrough=passthrough or {})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {"max_new_tokens": 9, "do_sample": False, "eos_token_id": [2, 3]}),
        ({"output_length": "fixed"}, {"eos_token_id": None}),
        ({"dataset": {"input_len": 4, "output_len": 6}}, {"eos_token_id": None, "max_new_tokens": 6}),
        ({"decoder": {"do_sample": True}}, {"temperature": 1.0, "top_k": 0, "top_p": 1.0}),
        ({"decoder": {"do_sample": True, "top_k": 4, "min_p": 0.1}}, {"top_k": 4, "min_p": 0.1}),
        ({"pytorch": {"num_beams": 4, "early_stopping": "never"}}, {"num_beams": 4, "early_stopping": "never"}),
        ({"pytorch": {"use_cache": False}}, {"use_cache": False}),
    ],
)
def test_claim_9_settings_say_what_the_experiment_says(keys: dict[str, Any], expected: dict[str, Any]) -> None:
    assert settings_of(**keys).items() >= expected.items()


def test_sampling_keys_are_left_out_without_sampling() -> None:
    settings = settings_of(decoder={"do_sample": False, "temperature": 0.5, "top_k": 5, "min_p": 0.2})
    assert not {"temperature", "top_k", "top_p", "min_p"} & settings.keys()


def test_passthrough_is_added() -> None:
    assert settings_of({"renormalize_logits": True})["renormalize_logits"] is True
