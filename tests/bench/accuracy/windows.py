"""When the windows of a recording open and close, and what a tool said of one. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

MARGIN_S = 1.5
"""Recording before the first window and after the last: lags and averages have passed by then."""


@dataclass(frozen=True)
class Window:
    """A planned window in seconds from the recording's start. Those of one length follow one another, but the longest,
    which lie over one another where the recording has no room (`overlaps`: a tool with one window at a time has none).
    """

    length_s: float
    start_s: float
    overlaps: bool = False

    @property
    def end_s(self) -> float:
        """When it closes."""
        return self.start_s + self.length_s


@dataclass(frozen=True)
class Measured:
    """What a tool said: the moments at which it looked (monotonic clock), and the energy of each board."""

    length_s: float
    start_s: float
    end_s: float
    boards_j: tuple[float, ...]


def plan(recording_s: float, counts: dict[float, int], rng: random.Random) -> list[Window]:
    """Windows of each length in `counts`, as many as asked for or as there is room, with irregular pauses between."""
    windows: list[Window] = []
    for length_s, count in counts.items():
        free_s = recording_s - 2 * MARGIN_S - length_s
        follow = min(count, int((recording_s - 2 * MARGIN_S) / (length_s + 0.1)))
        if follow > 1:
            spare_s = (recording_s - 2 * MARGIN_S) / follow - length_s
            windows += [
                Window(length_s, MARGIN_S + n * (length_s + spare_s) + rng.uniform(0, spare_s - 0.05))
                for n in range(follow)
            ]
        else:
            starts_s = sorted(MARGIN_S + rng.uniform(0, free_s) for _ in range(count))
            windows += [Window(length_s, start_s, n > 0) for n, start_s in enumerate(starts_s)]
    return windows
