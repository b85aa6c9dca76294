"""A helper process of the host, like the package client: it ends when we are asked to, and when we die."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

_LOOK_EVERY_S = 0.1
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Finished:
    """How a child ended: its exit code (None: it was stopped, because we were asked to) and the end of what it said."""

    exit_code: int | None
    last_words: str


def run_child(
    command: Sequence[str], stop: Callable[[float], bool], on_line: Callable[[str], None] | None = None
) -> Finished:
    """Run a command to its end. `stop(seconds)` waits that long and says whether we were asked to end. Raises OSError.

    `on_line` hears what the command says, line by line, while it says it. A session of its own keeps a Ctrl-C at the
    terminal from it: it is we who say how it ends.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=_end_with(os.getpid()),
        )  # fmt: skip
        code: int | None = None
        try:
            heard = 0
            while (code := process.poll()) is None:
                heard = _tell(output, heard, on_line)
                if stop(_LOOK_EVERY_S):
                    break
            _tell(output, heard, on_line)
        finally:
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        words = output.read()[-4000:].decode(errors="replace").strip().splitlines()
    return Finished(code, "\n".join(words[-5:]))


def _tell(output: BinaryIO, heard: int, on_line: Callable[[str], None] | None) -> int:
    """Pass on the whole lines that came since byte `heard`; where to go on."""
    if on_line is None:
        return heard
    new = os.pread(output.fileno(), 1 << 16, heard)
    whole = new[: new.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        on_line(line)
    return heard + len(whole)


def _end_with(parent: int) -> Callable[[], None]:
    """For the child, between fork and exec: be killed when the parent dies, however it dies."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the line above.
        if os.getppid() != parent:
            os._exit(1)

    return ask
