"""A helper process of the host, like the package client: it ends when we are asked to, and when we die."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LOOK_EVERY_S = 0.1
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Finished:
    """How a child ended: its exit code (None: it was stopped, because we were asked to) and the end of what it said."""

    exit_code: int | None
    last_words: str


def run_child(command: Sequence[str], stop: Callable[[float], bool]) -> Finished:
    """Run a command to its end. `stop(seconds)` waits that long and says whether we were asked to end. Raises OSError.

    A session of its own keeps a Ctrl-C at the terminal from it: it is we who say how it ends.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=_end_with(os.getpid()),
        )  # fmt: skip
        code: int | None = None
        try:
            while (code := process.poll()) is None:
                if stop(_LOOK_EVERY_S):
                    break
        finally:
            if code is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        words = output.read()[-4000:].decode(errors="replace").strip().splitlines()
    return Finished(code, "\n".join(words[-5:]))


def _end_with(parent: int) -> Callable[[], None]:
    """For the child, between fork and exec: be killed when the parent dies, however it dies."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the line above.
        if os.getppid() != parent:
            os._exit(1)

    return ask
