"""`container.log`, whatever a run printed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from llem.launch.log_file import HEAD_BYTES, TAIL_BYTES, clean_log, last_lines, write_log

MIB = 1 << 20


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        (b"", ""),
        (b"no end of line", "no end of line"),
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (b"\x1b[31mred\x1b[0m\x07", " [31mred [0m "),
        ("\u202egnp.exe \x9b2J".encode(), " gnp.exe  2J"),
        (b"\xff\x00\xfe", "\ufffd \ufffd"),
    ],
    ids=["nothing", "no_newline", "carriage_returns", "escapes", "bidi_and_c1", "no_text"],
)
def test_claim_6_9_a_log_is_kept_without_what_harms_a_terminal(tmp_path: Path, printed: bytes, kept: str) -> None:
    log = tmp_path / "container.log"
    write_log(log, [printed])
    assert log.read_text() == kept
    log.write_bytes(printed)
    clean_log(log)
    assert log.read_text() == kept
    assert list(tmp_path.iterdir()) == [log]


@pytest.mark.parametrize("piece", [MIB, 3 * MIB + 1, 40 * MIB], ids=["many", "odd", "one"])
def test_claim_6_9_of_much_the_beginning_and_the_end_are_kept_and_how_much_is_missing_is_said(
    tmp_path: Path, piece: int
) -> None:
    data = b"first" + b"." * (40 * MIB - 9) + b"last"
    write_log(tmp_path / "log", (data[at : at + piece] for at in range(0, len(data), piece)))
    head, said, tail = (tmp_path / "log").read_text().split("\n")
    assert (head[:5], tail[-4:]) == ("first", "last")
    assert len(head) == HEAD_BYTES
    # The end is kept in whole pieces, where they are small.
    assert TAIL_BYTES - piece <= len(tail) <= TAIL_BYTES
    assert said == f"… {len(data) - len(head) - len(tail):,} bytes left out here …"


def test_claim_6_9_memory_for_a_log_is_bounded(tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"z" * MIB

    tracemalloc.start()
    try:
        write_log(tmp_path / "log", endless())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * (HEAD_BYTES + TAIL_BYTES)


def test_claim_6_9_the_last_lines_are_those_with_something_in_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n\n" for number in range(50)))
    assert last_lines(log, 20) == [f"line {number}" for number in range(30, 50)]
    assert last_lines(tmp_path / "missing", 20) == []


def test_claim_6_9_of_a_line_without_an_end_the_last_words_are_bounded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("q" * MIB + " and why")
    [line] = last_lines(log, 20)
    assert len(line) <= 4001
    assert line.endswith(" and why")


def test_claim_6_9_a_full_disk_is_an_error_that_says_so(tiny_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_log(tiny_disk / "container.log", [b"x" * MIB])
    assert len(last_lines(tiny_disk / "container.log", 20)) == 1
