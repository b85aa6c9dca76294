"""The marks of a run on its one clock, CLOCK_MONOTONIC, and their place in realtime.

idle ─ load ─ resident ─ warmup ─┬─ measure ────────────────┬─ drain
                                 │ pass 1 │ pass 2 │ pass 3 │
                           window.start              window.end
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from llem_runner.contract.events import PhaseName


@dataclass(frozen=True)
class Span:
    """A stretch of monotonic time, in seconds."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.end_s - self.start_s


@dataclass
class Marks:
    """Spans of the run's phases; one realtime offset turns them into wall-clock times."""

    on_phase: Callable[[PhaseName, float], None]
    clock: Callable[[], float] = time.monotonic
    # One offset a run: a clock that is stepped (NTP) while we measure must not stretch or shrink a span.
    unix_offset_s: float = field(default_factory=lambda: time.time() - time.monotonic())
    phases: dict[PhaseName, Span] = field(default_factory=dict)
    phase_in_hand: PhaseName | None = None

    @contextmanager
    def phase(self, name: PhaseName) -> Iterator[None]:
        """One phase: announced at its start, kept with its end."""
        start_s = self.clock()
        self.phase_in_hand = name
        self.on_phase(name, start_s)
        yield
        self.phases[name] = Span(start_s, self.clock())

    def unix(self, monotonic_s: float) -> float:
        """Realtime of a monotonic time, in seconds since the epoch."""
        return monotonic_s + self.unix_offset_s
