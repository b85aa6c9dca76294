"""Exact tokens and times of the pytorch backend: real transformers on builtin:tiny-llama, in fp32 and greedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import Load, answers, copy_with_generation_config, no_sign, prompts_of


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_claim_10_prompts_of_5_and_20_tokens_give_20_output_tokens(load: Load, batch_size: int) -> None:
    backend = load(pytorch={"batch_size": batch_size})
    seen: list[int] = []
    outputs = backend.generate(prompts_of(backend, 5, 20), seen.append)
    assert [output.input_tokens for output in outputs] == [5, 20]
    assert [len(output.token_ids) for output in outputs] == [10, 10]
    assert sum(seen) == 20, "a sign of life for every token, and for padding none"


def test_claim_9_greedy_answers_do_not_depend_on_the_batch(load: Load) -> None:
    backend = load()
    prompts = prompts_of(backend, 3, 17, 1, 30, 8)
    alone = answers(backend.generate(prompts, no_sign))
    for batch_size in (2, 5):
        assert answers(load(pytorch={"batch_size": batch_size}).generate(prompts, no_sign)) == alone


def test_claim_9_a_repetition_penalty_does_not_see_the_padding(load: Load) -> None:
    penalty = {"decoder": {"repetition_penalty": 1.8}, "pytorch": {"batch_size": 1}}
    backend = load(**penalty)
    prompts = prompts_of(backend, 2, 25)
    alone = answers(backend.generate(prompts, no_sign))
    assert answers(load(**{**penalty, "pytorch": {"batch_size": 2}}).generate(prompts, no_sign)) == alone
    assert len(set(alone[0])) > 3, "the penalty was at work"


@pytest.fixture(scope="module")
def stopping_early(folder: Path, load: Load, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, list[int]]:
    """A model that stops at a token it likes; how long its first request then is; that request's prompt lengths."""
    backend = load()
    lengths = [5, 20]
    first, second = answers(backend.generate(prompts_of(backend, *lengths), no_sign))
    position, stop = next(
        (position, token)
        for position, token in enumerate(first)
        if 0 < position < 9 and first.index(token) == position and token not in second
    )
    end = backend.facts().stop_token_ids[0]
    copy = tmp_path_factory.mktemp("stopping") / "model"
    return copy_with_generation_config(folder, copy, eos_token_id=[end, stop]), position + 1, lengths


@pytest.mark.parametrize("batch_size", [1, 2])
def test_claim_10_a_request_that_stops_early_counts_up_to_its_stop_token(
    load: Load, stopping_early: tuple[Path, int, list[int]], batch_size: int
) -> None:
    model, expected, lengths = stopping_early
    backend = load(model, pytorch={"batch_size": batch_size})
    seen: list[int] = []
    first, second = backend.generate(prompts_of(backend, *lengths), seen.append)
    assert [len(first.token_ids), len(second.token_ids)] == [expected, 10]
    assert first.token_ids[-1] in backend.facts().stop_token_ids
    assert len(backend.facts().stop_token_ids) == 2
    assert sum(seen) == expected + 10
    assert first.finished_s == first.token_times_s[-1], "finished at its own stop, not at the batch's end"
    if batch_size == 2:
        assert first.finished_s < second.finished_s


@pytest.mark.parametrize("batch_size", [1, 2])
def test_claim_10_fixed_output_length_ignores_the_stop_token(
    load: Load, stopping_early: tuple[Path, int, list[int]], batch_size: int
) -> None:
    model, _, lengths = stopping_early
    backend = load()
    unstopped = answers(backend.generate(prompts_of(backend, *lengths), no_sign))
    load(model, output_length="fixed", pytorch={"batch_size": batch_size})
    outputs = backend.generate(prompts_of(backend, *lengths), no_sign)
    assert [len(output.token_ids) for output in outputs] == [10, 10]
    assert answers(outputs) == unstopped, "tokens of the model, not padding after a stop"


def test_claim_10_synthetic_experiments_have_exact_output_too(
    load: Load, stopping_early: tuple[Path, int, list[int]]
) -> None:
    model, _, lengths = stopping_early
    backend = load(model, dataset={"input_len": 20, "output_len": 7})
    outputs = backend.generate(prompts_of(backend, *lengths), no_sign)
    assert [len(output.token_ids) for output in outputs] == [7, 7]


def test_claim_10_min_new_tokens_holds_the_stop_token_back(
    load: Load, stopping_early: tuple[Path, int, list[int]]
) -> None:
    model, expected, lengths = stopping_early
    backend = load(model, decoder={"min_new_tokens": expected + 1})
    first, _ = backend.generate(prompts_of(backend, *lengths), no_sign)
    assert len(first.token_ids) > expected


def test_claim_9_the_models_own_generation_defaults_are_not_mixed_in(folder: Path, load: Load, tmp_path: Path) -> None:
    opinionated = copy_with_generation_config(
        folder,
        tmp_path / "opinionated",
        do_sample=True,
        temperature=5.0,
        top_k=3,
        top_p=0.5,
        repetition_penalty=3.0,
        num_beams=4,
        no_repeat_ngram_size=2,
        max_length=7,
        suppress_tokens=list(range(10, 400)),
        forced_eos_token_id=9,
    )
    backend = load()
    prompts = prompts_of(backend, 5, 20)
    plain = answers(backend.generate(prompts, no_sign))
    assert answers(load(opinionated).generate(prompts, no_sign)) == plain


def test_claim_9_unset_sampling_keys_do_not_fall_back_to_transformers_top_50(load: Load) -> None:
    backend = load(decoder={"do_sample": True, "temperature": 100.0}, max_output_tokens=60, output_length="fixed")
    [output] = backend.generate(prompts_of(backend, 5), no_sign)
    assert len(set(output.token_ids)) > 50, "nearly uniform over 512 tokens"
    assert backend.facts().effective["generation"]["top_k"] == 0


def test_claim_9_times_rise_from_the_first_token_to_the_end_of_each_request(load: Load) -> None:
    backend = load(pytorch={"batch_size": 2})
    outputs = backend.generate(prompts_of(backend, 5, 20, 6), no_sign)
    for output in outputs:
        assert output.first_token_s == output.token_times_s[0]
        assert output.started_s < output.first_token_s
        assert list(output.token_times_s) == sorted(output.token_times_s)
        assert len(output.token_times_s) == len(output.token_ids)
        assert output.token_times_s[-1] == output.finished_s
    assert outputs[2].started_s > outputs[0].finished_s, "the third request is of the second batch"


def test_claim_9_a_seed_repeats_what_is_sampled_in_every_pass(load: Load) -> None:
    sampled = {"decoder": {"do_sample": True}, "pytorch": {"batch_size": 2}}
    backend = load(random_seed=1, **sampled)
    prompts = prompts_of(backend, 5, 20, 9)
    first_pass = answers(backend.generate(prompts, no_sign))
    assert answers(backend.generate(prompts, no_sign)) == first_pass
    assert answers(load(random_seed=1, **sampled).generate(prompts, no_sign)) == first_pass
    assert answers(load(random_seed=2, **sampled).generate(prompts, no_sign)) != first_pass


def test_claim_11_raw_prompts_are_truncated_with_the_head_kept(load: Load) -> None:
    text = "The river was counted in the morning. " * 40
    whole = load(max_input_tokens=4000).encode([text])[0]
    head = load(max_input_tokens=25).encode([text, "short"])
    assert head[0] == whole[:25]
    assert len(head[1]) < 25


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 11, 12, 13])
def test_claim_11_chat_truncates_the_text_and_leaves_the_template_whole(load: Load, limit: int) -> None:
    text = "héllo 世界 and the many bridges of the river"
    backend = load(prompt_format="chat", max_input_tokens=limit)
    [around] = backend.encode([""])
    [ids] = backend.encode([text])
    assert ids[:2] == around[:2]
    assert ids[-2:] == around[-2:], "the end of the turn and the assistant's beginning are not cut off"
    assert len(around) < len(ids) + 1 <= len(around) + limit + 1
    assert text.startswith(backend.decode(ids))


def test_claim_11_chat_has_one_beginning_of_sequence(load: Load) -> None:
    raw = load().encode(["Name three planets."])[0]
    begin = raw[0]
    chat = load(prompt_format="chat").encode(["Name three planets."])[0]
    assert chat.count(begin) == raw.count(begin) == 1
    assert chat[0] == begin


def test_claim_10_the_vocabulary_of_synthetic_prompts_has_no_special_tokens(load: Load) -> None:
    backend = load()
    special = {*backend.facts().stop_token_ids, *load(prompt_format="chat").encode([""])[0]}
    assert not special & set(backend.vocabulary())
    assert len(backend.vocabulary()) > 500
