"""Which prompts share a batch, and what a batch computes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llem_runner.backends.protocol import Positions
from llem_runner.backends.pytorch.batches import Rectangle, batches, left_padded

LENGTHS = st.lists(st.integers(1, 30), max_size=12)


def test_padding_stands_on_the_left_and_repeats_the_prompts_own_first_token() -> None:
    rows, mask = left_padded([[7, 8], [1, 2, 3, 4]])
    assert rows == [[7, 7, 7, 8], [1, 2, 3, 4]]
    assert mask == [[0, 0, 1, 1], [1, 1, 1, 1]]


@given(LENGTHS, st.integers(1, 5))
def test_claim_9_12_as_written_keeps_neighbours_together(lengths: list[int], batch_size: int) -> None:
    made = batches([[0] * length for length in lengths], batch_size, "as_written")
    assert [index for batch in made for index in batch] == list(range(len(lengths)))
    assert all(len(batch) == batch_size for batch in made[:-1])


@given(LENGTHS, st.integers(1, 5))
def test_claim_9_12_by_length_takes_the_longest_first_and_every_prompt_once(
    lengths: list[int], batch_size: int
) -> None:
    made = batches([[0] * length for length in lengths], batch_size, "by_length")
    taken = [index for batch in made for index in batch]
    assert sorted(taken) == list(range(len(lengths)))
    assert [lengths[index] for index in taken] == sorted(lengths, reverse=True)


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 20), st.integers(0, 10), st.booleans())
def test_claim_9_12_what_is_no_padding_is_what_the_request_would_compute_alone(
    input_tokens: int, output_tokens: int, wider: int, longer: int, use_cache: bool
) -> None:
    alone = Rectangle(input_tokens, output_tokens, 1, use_cache).positions(input_tokens, output_tokens)
    together = Rectangle(input_tokens + wider, output_tokens + longer, 1, use_cache)
    shared = together.positions(input_tokens, output_tokens)
    assert alone.padding == 0
    assert shared.computed - shared.padding == alone.computed


def test_claim_9_12_beams_are_rows_of_their_own_and_search_to_the_end() -> None:
    assert Rectangle(width=10, steps=4, beams=3, use_cache=True).positions(8, 2) == Positions(3 * 13, 3 * 2)
