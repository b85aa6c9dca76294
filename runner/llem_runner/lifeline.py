"""What ends a run from outside: SIGTERM, and, for a subprocess of the host, the host's own end.

Python runs signal handlers only between byte codes of the main thread. An engine that is deep in its own code would not
notice; so a second thread kills the whole process group once the grace is over.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from llem_runner.contract import FailureKind, RunFailed

_GRACE_S = 10.0


class Stopped(RunFailed):
    """Somebody asked this run to end."""

    def __init__(self, message: str) -> None:
        super().__init__(FailureKind.INTERRUPTED, message)


def stop_on_sigterm() -> None:
    """From now on SIGTERM raises `Stopped` in the main thread, once: the clean-up after it is not disturbed again."""

    def handler(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_IGN)
        raise Stopped("the run was stopped by SIGTERM")

    signal.signal(signal.SIGTERM, handler)


def end_with_standard_input() -> None:
    """End this process when its standard input does: the host that held the other end is gone, however it went."""
    threading.Thread(target=_watch_standard_input, name="lifeline", daemon=True).start()


def _watch_standard_input() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
    timer = threading.Timer(_GRACE_S, _kill_group)
    timer.daemon = True
    timer.start()


def _kill_group() -> None:
    # The local launcher made us the leader of our own group; anywhere else only we ourselves may be killed.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
