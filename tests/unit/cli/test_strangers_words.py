"""A stranger's words beside ours: nothing in them moves a cursor, begins a line as ours do, or changes a value."""

from __future__ import annotations

import json

import pytest

from llem.printable import json_for_terminal, on_further_lines


def test_claim_6_7_lines_after_the_first_are_set_in() -> None:
    assert on_further_lines("it failed\n[1/1] completed\r\x1b[2J") == "it failed\n    [1/1] completed  [2J"


@pytest.mark.parametrize(
    "word", ["\x1b[2J", "\x9b31m", "a\u202eb", "\x7f", "\u2028", "né ✓ 漢字 😀", "\U000e0001"], ids=ascii
)
def test_claim_6_7_json_keeps_its_values_and_shows_nothing_that_cannot_be_seen(word: str) -> None:
    text = json.dumps({word: [word]}, indent=2, ensure_ascii=False)
    harmless = json_for_terminal(text)
    assert json.loads(harmless) == {word: [word]}
    assert harmless.replace("\n", "").isprintable()
    assert ("é" in harmless) == ("é" in word)
