"""How far a download is, in lines for people."""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST_WORD_S, _WORD_EVERY_S = 2.0, 10.0


class Progress:
    """A line where it begins, the next soon, then one now and then, and one at the end; none where nothing is missing.

    `total_bytes` are those still to be fetched of model `name`; `now_s` is a clock in seconds.
    """

    def __init__(
        self, name: str, total_bytes: int, notice: Callable[[str], None], now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._total_bytes = total_bytes
        self._notice = notice if total_bytes else _nothing
        self._now_s = now_s
        self._began_s = now_s()
        self._next_s = self._began_s + _FIRST_WORD_S
        self._notice(f"Fetching {name}, {in_gb(total_bytes)} …")

    def at(self, n_bytes: int) -> None:
        """So many bytes are there."""
        now_s = self._now_s()
        if self._total_bytes and now_s >= self._next_s:
            self._next_s = now_s + _WORD_EVERY_S
            rate = n_bytes / (now_s - self._began_s) / 1e6
            share = min(1.0, n_bytes / self._total_bytes)
            self._notice(f"{self._name}: {in_gb(n_bytes)} of {in_gb(self._total_bytes)} ({share:.0%}), {rate:.0f} MB/s")

    def done(self) -> None:
        """All of it is."""
        self._notice(f"{self._name} is there: {in_gb(self._total_bytes)} in {self._now_s() - self._began_s:.0f} s.")


def in_gb(n_bytes: int) -> str:
    """Bytes for people, in GB or MB (10⁹, 10⁶)."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _nothing(line: str) -> None:
    del line
