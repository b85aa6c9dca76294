"""The grammar's keys against the installed engines' own signatures: a key that an engine renames is found here."""

from __future__ import annotations

import inspect

import pytest

from llem.study.keys import EXPERIMENT, Leaf, Section

GENERATION_KEYS = (
    "use_cache",
    "cache_implementation",
    "num_beams",
    "early_stopping",
    "length_penalty",
    "no_repeat_ngram_size",
    "prompt_lookup_num_tokens",
)
DECODER_KEYS = ("do_sample", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "min_new_tokens")


def leaf(*path: str) -> Leaf:
    key: object = EXPERIMENT
    for name in path:
        assert isinstance(key, Section)
        key = key.children[name]
    assert isinstance(key, Leaf)
    return key


def test_claim_5_2_decoder_and_generation_keys_are_transformers_own() -> None:
    transformers = pytest.importorskip("transformers")
    known = vars(transformers.GenerationConfig())
    assert [key for key in (*GENERATION_KEYS, *DECODER_KEYS) if key not in known] == []
    for key in GENERATION_KEYS:
        leaf("pytorch", key)
    for key in DECODER_KEYS:
        leaf("decoder", key)


def test_claim_5_2_cache_implementations_are_ones_that_transformers_knows() -> None:
    pytest.importorskip("transformers")
    from transformers.generation import configuration_utils

    ours = set(leaf("pytorch", "cache_implementation").choices)
    assert ours <= set(configuration_utils.ALL_CACHE_IMPLEMENTATIONS)


def test_claim_5_2_quantisation_keys_are_bitsandbytes_own() -> None:
    transformers = pytest.importorskip("transformers")
    parameters = inspect.signature(transformers.BitsAndBytesConfig).parameters
    section = EXPERIMENT.children["pytorch"]
    assert isinstance(section, Section)
    ours = [key for key in section.children if key.startswith(("load_in_", "bnb_"))]
    assert len(ours) == 5
    assert [key for key in ours if key not in parameters] == []


def test_claim_5_2_compile_modes_are_torchs_own() -> None:
    torch = pytest.importorskip("torch")
    from torch._inductor import list_mode_options

    assert set(leaf("pytorch", "torch_compile_mode").choices) <= set(list_mode_options())
    assert {"mode", "backend"} <= set(inspect.signature(torch.compile).parameters)
