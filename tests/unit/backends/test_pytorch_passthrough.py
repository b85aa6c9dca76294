"""Which part of transformers each passthrough key reaches."""

from __future__ import annotations

import pytest

from llem_runner.backends.pytorch.passthrough import sort_passthrough
from llem_runner.contract import FailureKind, RunFailed

GENERATION = {"renormalize_logits", "do_sample", "stop_strings"}
LOADING = {"use_safetensors"}
CONFIG = {"rope_theta"}


def test_keys_are_sorted_by_who_takes_them() -> None:
    kwargs = {"renormalize_logits": True, "use_safetensors": True, "rope_theta": 5e5}
    passed = sort_passthrough(kwargs, GENERATION, LOADING, CONFIG)
    assert passed.generation == {"renormalize_logits": True}
    assert passed.loading == {"use_safetensors": True}
    assert passed.model_config == {"rope_theta": 5e5}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("renormalise_logits", "passthrough_kwargs.renormalise_logits is no parameter"),
        ("do_sample", r"has a key of its own: decoder\.do_sample"),
        ("stop_strings", "could no longer be counted"),
        ("state_dict", "set by the backend itself"),
    ],
)
def test_a_key_that_reaches_nothing_or_is_ours_is_a_backend_error_that_names_it(name: str, words: str) -> None:
    with pytest.raises(RunFailed, match=words) as caught:
        sort_passthrough({name: 1}, GENERATION, LOADING, CONFIG)
    assert caught.value.kind is FailureKind.BACKEND
