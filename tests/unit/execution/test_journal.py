from __future__ import annotations

import json
from pathlib import Path

import pytest

from llem.errors import CliExit, NotReadyError
from llem.execution.journal import Journal, JournalUnwritable, read_journal


def test_claim_17_lines_are_numbered_from_1_and_carry_time_and_event(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", now=lambda: 12.5) as journal:
        journal.append("study_started", study_uid="u")
        journal.append("run_started", run_id="a-c1", attempt=1, handle="h")
    assert read_journal(tmp_path / "j") == [
        {"seq": 1, "unix_s": 12.5, "event": "study_started", "study_uid": "u"},
        {"seq": 2, "unix_s": 12.5, "event": "run_started", "run_id": "a-c1", "attempt": 1, "handle": "h"},
    ]


@pytest.mark.parametrize("torn", [b"{", b'{"seq": 2, "unix_s": 1, "event": "run_st', b'{"seq": 2}'])
def test_claim_17_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        journal.append("study_started")
    with path.open("ab") as file:
        file.write(torn)
    assert [line["event"] for line in read_journal(path)] == ["study_started"]
    with Journal(path) as journal:
        journal.append("study_resumed")
    assert [(line["seq"], line["event"]) for line in read_journal(path)] == [(1, "study_started"), (2, "study_resumed")]


@pytest.mark.parametrize("damage", [b"nonsense\n", b'{"seq": 7, "event": "x"}\n', b"[]\n", b'"x"\n'])
def test_a_damaged_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"seq": 1, "unix_s": 1, "event": "study_started"}\n' + damage)
    with pytest.raises(NotReadyError, match=r"j:2: the journal is damaged"):
        read_journal(path)


def test_claim_22_a_full_disk_while_writing_is_told_and_loses_no_line(tiny_disk: Path) -> None:
    path = tiny_disk / "journal.jsonl"
    journal = Journal(path)
    journal.append("study_started", study_uid="u")
    with pytest.raises(JournalUnwritable, match="cannot be written") as raised:
        for number in range(100):
            journal.append("run_failed", run_id=f"{number}-c1", kind="inference", message="x" * 4000)
    assert raised.value.exit_code is CliExit.NOT_READY
    assert "llem run --resume" in str(raised.value)
    journal.close()
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert path.read_bytes().endswith(b"\n")


def test_claim_22_after_room_is_made_the_journal_goes_on_where_it_stopped(tiny_disk: Path) -> None:
    path = tiny_disk / "journal.jsonl"
    (tiny_disk / "ballast").write_bytes(b"x" * 40_000)
    journal = Journal(path)
    with pytest.raises(JournalUnwritable):
        for _ in range(100):
            journal.append("run_failed", run_id="a-c1", message="x" * 4000)
    whole = len(read_journal(path))
    (tiny_disk / "ballast").unlink()
    journal.append("study_completed")
    journal.close()
    assert [line["seq"] for line in read_journal(path)] == list(range(1, whole + 2))


def test_a_folder_that_cannot_be_written_is_exit_3(tmp_path: Path) -> None:
    with pytest.raises(JournalUnwritable, match="No such file"):
        Journal(tmp_path / "nowhere" / "journal.jsonl")
