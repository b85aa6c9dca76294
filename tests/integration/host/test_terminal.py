"""What a person at a terminal sees while a study runs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from llem_process import LLEM, TINY, environment


def seen_on_a_terminal(folder: Path, *arguments: str, size: tuple[int, int] | None = (30, 110)) -> str:
    """Everything that a terminal of `size` (lines, columns) was sent; None is one that does not know its size."""
    ours, theirs = pty.openpty()
    if size is not None:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    env = environment({"TERM": "xterm"})
    process = subprocess.Popen([LLEM, *arguments], cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    chunks = []
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(ours)
    assert process.wait(60) == 0
    return b"".join(chunks).decode()


def test_claim_19_a_terminal_shows_a_bar_for_the_study_and_one_for_the_run(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(TINY)
    seen = seen_on_a_terminal(tmp_path, "run", "s.yaml")
    assert re.search(r"study: 0/1 runs", seen)
    assert re.search(r"study: 1/1 runs", seen)
    for phase in ("starting", "load", "warmup", "measure"):
        assert f"run: {phase}" in seen
    assert "completed: " in seen
    assert "Loading weights" not in seen


def test_claim_19_quiet_prints_the_result_only(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(TINY)
    seen = seen_on_a_terminal(tmp_path, "run", "s.yaml", "-q", size=None)
    assert "run:" not in seen
    assert "1 of 1 runs completed" in seen
