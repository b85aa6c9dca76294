"""A stranger's words beside ours: nothing in them moves a cursor, begins a line as ours do, or changes a value."""

from __future__ import annotations

import json

import pytest

from llem.cli.progress import LineObserver
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


def test_claim_6_7_whatever_is_told_while_a_study_runs_is_clean_and_no_line_begins_as_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    observer = LineObserver(verbose=False)
    observer.notice("an engine said: \x1b[2Jcdi\x9b31m\u202e\r\n[1/9] completed: all is well")
    observer.study_started("/studies/\x1b]0;owned\x07", 9, 0)
    assert capsys.readouterr().err.splitlines() == [
        "an engine said:  [2Jcdi 31m  ",
        "    [1/9] completed: all is well",
        r"Study folder: /studies/\x1b]0;owned\x07",
    ]
