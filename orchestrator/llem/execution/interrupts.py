"""Ctrl-C: once asks for an orderly end, twice ends at once. SIGTERM and SIGHUP ask once, however often they come."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

from llem.errors import CliExit, LlemError, NotReadyError

_ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedEarly(LlemError):
    """Somebody pressed Ctrl-C before the first run."""

    exit_code = CliExit.INTERRUPTED


class Interrupts:
    """While it is entered, signals set flags instead of raising; outside the main thread it only holds the flags.

    A handler runs between any two byte codes of the main thread, so it takes no lock: it sets numbers and writes into a
    pipe that `wait` listens to.
    """

    def __init__(self) -> None:
        self.on_urgent: Callable[[], None] | None = None
        """Called from the signal handler when somebody asks twice: kills what runs."""
        self._requests = 0
        self._keyboard = 0
        self._listen_fd, self._wake_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous: dict[int, object] = {}

    @property
    def requested(self) -> bool:
        """Somebody wants the study to end."""
        return self._requests > 0

    @property
    def urgent(self) -> bool:
        """Somebody pressed Ctrl-C twice: it is to end at once."""
        return self._keyboard > 1

    def request(self, *, keyboard: bool = True) -> None:
        """What a signal does. A closing terminal sends several: only Ctrl-C counts towards `urgent`."""
        self._requests += 1
        self._keyboard += keyboard
        if self._wake_fd >= 0:
            # A pipe that is full of earlier requests has woken whoever waits.
            with suppress(BlockingIOError):
                os.write(self._wake_fd, b"!")
        if keyboard and self.urgent and self.on_urgent:
            self.on_urgent()

    def wait(self, seconds: float) -> bool:
        """Sleep; True, and early, when somebody has asked."""
        if not self.requested and self._listen_fd >= 0:
            select.select([self._listen_fd], [], [], seconds)
        return self.requested

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _ASKING:
                # What we were started to ignore (nohup), we go on ignoring.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()
        for fd in (self._listen_fd, self._wake_fd):
            if fd >= 0:
                os.close(fd)
        self._listen_fd = self._wake_fd = -1

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.request(keyboard=number == signal.SIGINT)


@contextmanager
def not_interrupted(interrupts: Interrupts) -> Iterator[None]:
    """Raise InterruptedEarly where somebody asked us to end within the `with`, whatever else went wrong then."""
    stopped = InterruptedEarly("Interrupted before the first run: nothing was started.")
    try:
        yield
    except NotReadyError as error:
        if interrupts.requested:
            raise stopped from error
        raise
    if interrupts.requested:
        raise stopped
