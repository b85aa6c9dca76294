"""What ends a run from outside: SIGTERM, and, for a subprocess of the host, the host's own end.

    SIGTERM ──▶ handler ──▶ requested = True ──▶ Stopped in the main thread     swallowed on its way? the next check
                        └─▶ the killer's thread: SIGKILL once the grace is over (each token, each phase) raises it again

Python runs signal handlers only between byte codes of the main thread, an exception out of a `__del__` is dropped, and
engines turn exceptions into their own. So the request is kept as a flag, which decides in the end what the run was.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from queue import SimpleQueue
from types import FrameType

_GRACE_S = 10.0


class Stopped(BaseException):
    """Somebody asked this run to end. No `Exception`: what handles any of those must not handle this."""


class StopRequest:
    """Whether this run was asked to end."""

    def __init__(self, grace_s: float = _GRACE_S) -> None:
        self.requested = False
        self._grace_s = grace_s
        # Started beforehand: a signal handler must not start threads. Putting is safe in one.
        self._killer: SimpleQueue[None] = SimpleQueue()

    def on_sigterm(self) -> None:
        """From now on SIGTERM raises `Stopped` in the main thread, once: the clean-up after it is not disturbed."""
        threading.Thread(target=self._kill_when_asked, name="killer", daemon=True).start()
        signal.signal(signal.SIGTERM, self._handle)

    def check(self) -> None:
        """Raises `Stopped` if SIGTERM came, whatever became of the exception that said so first."""
        if self.requested:
            raise Stopped("the run was stopped by SIGTERM")

    def too_late(self) -> None:
        """From now on SIGTERM changes nothing: the outcome is about to be written."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_IGN)
        self.requested = True
        self._killer.put(None)
        self.check()

    def _kill_when_asked(self) -> None:
        self._killer.get()
        _kill_after(self._grace_s)


def end_with_standard_input() -> None:
    """End this process when its standard input does: the host that held the other end is gone, however it went."""
    threading.Thread(target=_watch_standard_input, name="lifeline", daemon=True).start()


def _watch_standard_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    # Not left to the handler, which does not run while the main thread is deep in an engine's own code.
    _kill_after(_GRACE_S)


def _kill_after(grace_s: float) -> None:
    time.sleep(grace_s)
    # The local launcher made us the leader of our own group; anywhere else only we ourselves may be killed.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
