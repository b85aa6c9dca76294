"""Ctrl-C: once asks for an orderly end, twice ends at once. SIGTERM and SIGHUP ask once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class Interrupts:
    """While it is entered, signals set flags instead of raising; outside the main thread it only holds the flags."""

    def __init__(self) -> None:
        self.on_urgent: Callable[[], None] | None = None
        """Called from the signal handler when somebody asks twice: kills what runs."""
        self._asked = threading.Event()
        self._count = 0
        self._previous: dict[int, object] = {}

    @property
    def requested(self) -> bool:
        """Somebody wants the study to end."""
        return self._count > 0

    @property
    def urgent(self) -> bool:
        """Somebody wants it to end at once."""
        return self._count > 1

    def request(self) -> None:
        """What a signal does."""
        self._count += 1
        self._asked.set()
        if self.urgent and self.on_urgent:
            self.on_urgent()

    def wait(self, seconds: float) -> bool:
        """Sleep; True, and early, when somebody asks. A second request during an orderly stop does not wake it."""
        return self._asked.wait(seconds)

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.clear()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.request()
