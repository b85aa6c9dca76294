"""Claim 16: what lies in `out/` is read like a letter from a stranger."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from llem.untrusted import MOST_IN_PIECES_BYTES, Untrusted, is_there, open_untrusted, read_piece, read_untrusted

NAME = "out/result.json"
CAP = 1000


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "out").mkdir(parents=True)
    return tmp_path / "run"


def reason(run_folder: Path, name: str = NAME) -> str:
    with pytest.raises(Untrusted) as raised:
        read_untrusted(run_folder, name, CAP)
    return raised.value.reason


def test_claim_16_a_regular_file_is_read_whole(run_folder: Path) -> None:
    (run_folder / NAME).write_bytes(b"x" * CAP)
    assert read_untrusted(run_folder, NAME, CAP) == b"x" * CAP


def test_claim_16_a_hard_link_is_a_regular_file(run_folder: Path) -> None:
    (run_folder / "out" / "other").write_bytes(b"{}")
    os.link(run_folder / "out" / "other", run_folder / NAME)
    assert read_untrusted(run_folder, NAME, CAP) == b"{}"


def test_claim_16_a_link_is_not_followed(run_folder: Path) -> None:
    secret = run_folder.parent / "secret"
    secret.write_text("secret", encoding="utf-8")
    (run_folder / NAME).symlink_to(secret)
    assert reason(run_folder) == "link"


def test_claim_16_a_dangling_link_is_a_link_and_not_a_missing_file(run_folder: Path) -> None:
    (run_folder / NAME).symlink_to("nowhere")
    assert reason(run_folder) == "link"


def test_claim_16_out_swapped_for_a_link_is_not_followed(run_folder: Path) -> None:
    elsewhere = run_folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "result.json").write_text("{}", encoding="utf-8")
    (run_folder / "out").rmdir()
    (run_folder / "out").symlink_to(elsewhere)
    assert reason(run_folder) == "link"


def test_claim_16_a_pipe_is_refused_and_does_not_hang(run_folder: Path) -> None:
    os.mkfifo(run_folder / NAME)
    assert reason(run_folder) == "not_regular"


def test_claim_16_a_socket_is_refused(run_folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # Bound by a relative name: the path of a temporary folder may be too long for a socket.
        before = os.open(".", os.O_RDONLY)
        try:
            os.chdir(run_folder / "out")
            listener.bind("result.json")
        finally:
            os.fchdir(before)
            os.close(before)
        assert reason(run_folder) == "not_regular"


def test_claim_16_a_device_is_refused() -> None:
    assert reason(Path("/"), "dev/zero") == "not_regular"


def test_claim_16_a_folder_is_refused(run_folder: Path) -> None:
    (run_folder / NAME).mkdir()
    assert reason(run_folder) == "not_regular"


def test_claim_16_a_file_in_place_of_out_is_refused(run_folder: Path) -> None:
    (run_folder / "out").rmdir()
    (run_folder / "out").write_text("{}", encoding="utf-8")
    assert reason(run_folder) == "not_regular"


def test_claim_16_a_file_above_the_cap_is_refused_unread(run_folder: Path) -> None:
    with (run_folder / NAME).open("wb") as file:
        file.truncate(10**12)
    assert reason(run_folder) == "too_large"


def test_claim_16_a_file_that_says_it_is_empty_but_is_not_is_capped() -> None:
    # Files under /proc are regular and of size 0, whatever they hold.
    with pytest.raises(Untrusted) as raised:
        read_untrusted(Path("/proc/self"), "status", 10)
    assert raised.value.reason == "too_large"


def test_claim_16_missing_files_and_folders_are_missing(run_folder: Path) -> None:
    assert reason(run_folder) == "missing"
    (run_folder / "out").rmdir()
    assert reason(run_folder) == "missing"
    assert reason(run_folder / "gone") == "missing"


def test_what_cannot_be_read_says_why(run_folder: Path) -> None:
    with pytest.raises(Untrusted, match="cannot be read: File name too long") as raised:
        read_untrusted(run_folder, "out/" + "x" * 300, CAP)
    assert raised.value.reason == "unreadable"


def test_no_file_descriptor_is_left_open(run_folder: Path) -> None:
    (run_folder / NAME).write_bytes(b"{}")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in (NAME, "out/missing", "gone/x", "out"):
        try:
            with open_untrusted(run_folder, name, CAP):
                pass
        except Untrusted:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_claim_6_7_a_file_of_holes_is_read_in_pieces_to_a_bound_and_no_further(run_folder: Path) -> None:
    with (run_folder / NAME).open("wb") as file:
        file.truncate(10**12)
    assert len(read_piece(run_folder, NAME, 0, 1000)) == 1000
    assert len(read_piece(run_folder, NAME, MOST_IN_PIECES_BYTES - 10, 1000)) == 10
    assert read_piece(run_folder, NAME, MOST_IN_PIECES_BYTES, 1000) == b""
    assert read_piece(run_folder, NAME, MOST_IN_PIECES_BYTES + 10, 1000) == b""


def test_claim_6_7_only_what_could_be_read_is_there(run_folder: Path) -> None:
    assert not is_there(run_folder, NAME)
    (run_folder / NAME).symlink_to("/etc/passwd")
    assert not is_there(run_folder, NAME)
    (run_folder / NAME).unlink()
    (run_folder / NAME).touch()
    assert is_there(run_folder, NAME)
