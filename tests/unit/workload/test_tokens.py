"""Text → ids by the one code that every backend uses, with tokenizers of six families: as transformers does it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizer_families import FAMILIES, HOSTILE_TEXTS, MODEL_VOCABULARY, make_families

from llem_runner.contract import FailureKind, RunFailed
from llem_runner.contract.exchange import Prompt
from llem_runner.workload.tokens import PromptEncoder, load_tokenizer

MUCH = 1_000_000
FORMATS: tuple[Literal["raw", "chat"], ...] = ("raw", "chat")
ignoring_a_spelled_end = pytest.mark.filterwarnings("ignore:This sequence already has </s>")
"""ByT5's warning where a text itself ends so."""
LLAMAS = ("metaspace_bpe", "sentencepiece_llama")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_families(tmp_path_factory.mktemp("families"))


@pytest.fixture(scope="module")
def tokenizers(folders: dict[str, Path]) -> dict[str, Any]:
    """Loaded as every backend loads them."""
    return {name: load_tokenizer(str(folder), None, trust_remote_code=False) for name, folder in folders.items()}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(tokenizers: dict[str, Any], family: str) -> Any:
    return tokenizers[family]


def encode(tokenizer: Any, prompt_format: Literal["raw", "chat"], limit: int, text: str) -> list[int]:
    [ids] = PromptEncoder(tokenizer, prompt_format, limit, MODEL_VOCABULARY).encode([text])
    return ids


def alone(folder: Path, prompt_format: str, text: str) -> list[int]:
    """What transformers makes of it by itself."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if prompt_format == "raw":
        return list(tokenizer(text)["input_ids"])
    messages = [{"role": "user", "content": text}]
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"])


@ignoring_a_spelled_end
@pytest.mark.parametrize("prompt_format", FORMATS)
def test_claim_9_3_untruncated_ids_are_those_of_transformers_alone(
    folders: dict[str, Path], tokenizer: Any, family: str, prompt_format: Literal["raw", "chat"]
) -> None:
    for why, text in HOSTILE_TEXTS.items():
        ids = encode(tokenizer, prompt_format, MUCH, text)
        assert ids == alone(folders[family], prompt_format, text), why


@pytest.mark.parametrize("family", LLAMAS)
@pytest.mark.parametrize("prompt_format", FORMATS)
@pytest.mark.parametrize("limit", [1, 2, 9, MUCH])
def test_claim_9_3_there_is_one_beginning_of_sequence_in_both_formats(
    tokenizers: dict[str, Any], family: str, prompt_format: Literal["raw", "chat"], limit: int
) -> None:
    for text in ("Name three planets.", *(text for text in HOSTILE_TEXTS.values() if "<s>" not in text)):
        ids = encode(tokenizers[family], prompt_format, limit, text)
        assert (ids[0], ids.count(1)) == (1, 1)


short_hostile = [text for text in HOSTILE_TEXTS.values() if len(text) < 50]
texts = st.one_of(st.text(max_size=30), st.sampled_from(short_hostile), st.text("ab c\n世é😀", max_size=30))


def plain(tokenizer: Any, text: str) -> list[int]:
    """`text` without what the tokenizer adds."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def chat(tokenizer: Any, text: str) -> list[int]:
    """`text` in the template, untruncated."""
    return plain(tokenizer, tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False))


@settings(max_examples=40, deadline=None)
@given(text=texts.filter(bool), limit=st.integers(min_value=2, max_value=12))
def test_claim_9_3_a_raw_prompt_is_the_head_of_the_whole_and_at_most_the_limit(
    tokenizer: Any, family: str, text: str, limit: int
) -> None:
    # ByT5 adds no end to a head that happens to end so already.
    assume(family != "bytes_without_rust" or "</s>" not in text)
    whole = list(tokenizer(text)["input_ids"])
    ids = encode(tokenizer, "raw", limit, text)
    ending = 1 if family in ("unigram", "wordpiece", "bytes_without_rust") else 0
    assert len(ids) == min(limit, len(whole))
    assert ids[: len(ids) - ending] == whole[: len(ids) - ending]
    assert ids[len(ids) - ending :] == whole[len(whole) - ending :], "what the tokenizer adds at the end stays"


@settings(max_examples=40, deadline=None)
@given(text=texts, limit=st.integers(min_value=1, max_value=12))
def test_claim_9_3_in_a_chat_the_text_is_cut_to_the_limit_and_the_template_stays_whole(
    tokenizer: Any, text: str, limit: int
) -> None:
    ids = encode(tokenizer, "chat", limit, text)
    if len(plain(tokenizer, text)) <= limit:
        assert ids == chat(tokenizer, text)
        return
    heads = [text[:end] for end in range(len(text))]
    assert ids in [chat(tokenizer, head) for head in heads if len(plain(tokenizer, head)) <= limit]


@pytest.mark.parametrize("limit", [2, 3, 6])
def test_claim_9_3_in_a_chat_no_more_of_the_text_is_cut_off_than_has_to_be(tokenizer: Any, limit: int) -> None:
    text = "The power is a train that takes 120 kilometres"
    ids = encode(tokenizer, "chat", limit, text)
    kept = [plain(tokenizer, text[:end]) for end in range(len(text)) if ids == chat(tokenizer, text[:end])]
    assert plain(tokenizer, text)[:limit] in kept, kept


@settings(max_examples=25, deadline=None)
@given(many=st.lists(texts.filter(bool), min_size=2, max_size=5))
def test_claim_9_3_a_prompt_does_not_depend_on_its_neighbours(tokenizer: Any, many: list[str]) -> None:
    encoder = PromptEncoder(tokenizer, "chat", 9, MODEL_VOCABULARY)
    assert encoder.encode(many) == [encoder.encode([text])[0] for text in many]


@pytest.mark.parametrize("prompt_format", FORMATS)
def test_claim_9_3_padding_and_truncation_that_a_tokenizer_was_saved_with_are_not_applied(
    folders: dict[str, Path], tokenizers: dict[str, Any], tmp_path: Path, prompt_format: Literal["raw", "chat"]
) -> None:
    from tokenizers import Tokenizer

    copy = shutil.copytree(folders["byte_level_bpe"], tmp_path / "padded")
    saved = Tokenizer.from_file(str(copy / "tokenizer.json"))
    saved.enable_padding(length=64)
    saved.enable_truncation(3, direction="left")
    saved.save(str(copy / "tokenizer.json"))
    padded = load_tokenizer(str(copy), None, trust_remote_code=False)
    for limit in (4, MUCH):
        ids = encode(padded, prompt_format, limit, "The energy of a computation")
        assert ids == encode(tokenizers["byte_level_bpe"], prompt_format, limit, "The energy of a computation")


def test_claim_9_3_mistrals_own_tokenizer_is_not_taken_where_its_package_happens_to_be_installed(
    folders: dict[str, Path], tokenizers: dict[str, Any], tmp_path: Path
) -> None:
    """vLLM installs mistral-common, PyTorch does not: one model would have had two tokenizers."""
    from transformers import MistralConfig

    copy = shutil.copytree(folders["metaspace_bpe"], tmp_path / "mistral")
    MistralConfig(vocab_size=MODEL_VOCABULARY).save_pretrained(copy)
    (copy / "tekken.json").write_text("{}")
    mistral = load_tokenizer(str(copy), None, trust_remote_code=False)
    for text in HOSTILE_TEXTS.values():
        assert encode(mistral, "raw", 50, text) == encode(tokenizers["metaspace_bpe"], "raw", 50, text)


def test_claim_9_3_a_chat_template_that_writes_todays_date_writes_the_same_one_each_day(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(folders["byte_level_bpe"], tmp_path / "dated")
    (copy / "chat_template.jinja").write_text("{{ strftime_now('%d %b %Y') }}{{ messages[0]['content'] }}")
    tokenizer = load_tokenizer(str(copy), None, trust_remote_code=False)
    assert tokenizer.decode(encode(tokenizer, "chat", MUCH, "!")) == "26 Jul 2024!"


def test_a_limit_below_what_the_tokenizer_adds_is_refused_and_not_ignored(tokenizers: dict[str, Any]) -> None:
    with pytest.raises(RunFailed, match=r"max_input_tokens is 1, but the tokenizer of .* adds 2 tokens") as caught:
        encode(tokenizers["wordpiece"], "raw", 1, "The energy of a computation")
    assert caught.value.kind is FailureKind.MODEL
    assert len(encode(tokenizers["wordpiece"], "raw", 2, "The energy of a computation")) == 2
    assert encode(tokenizers["metaspace_bpe"], "raw", 1, "The energy") == [1]


def test_a_prompt_without_any_token_is_named(tokenizers: dict[str, Any]) -> None:
    encoder = PromptEncoder(tokenizers["byte_level_bpe"], "raw", 8, MODEL_VOCABULARY)
    with pytest.raises(RunFailed, match="Prompt 2 has no tokens") as caught:
        encoder.encode(["The energy", ""])
    assert caught.value.kind is FailureKind.INFERENCE


def test_a_token_that_the_model_does_not_know_is_refused_before_an_engine_sees_it(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["byte_level_bpe"]
    [ids] = PromptEncoder(tokenizer, "raw", 50, MODEL_VOCABULARY).encode(["The energy of a computation"])
    with pytest.raises(RunFailed, match=f"Prompt 1 has token {max(ids)}, and the model knows {max(ids)}") as caught:
        PromptEncoder(tokenizer, "raw", 50, max(ids)).encode(["The energy of a computation"])
    assert caught.value.kind is FailureKind.MODEL


def test_half_of_a_surrogate_pair_never_reaches_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        Prompt.model_validate(json.loads(r'{"text": "a \ud83d b"}'))
    assert Prompt.model_validate(json.loads(r'{"text": "\ud83d\ude00"}')).text == "😀"
