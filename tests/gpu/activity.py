"""When a load ran, as whoever ran it knows. Pure but for numpy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

Pulse = tuple[float, float]
"""Seconds on, then seconds off."""


@dataclass(frozen=True)
class Activity:
    """The spans (start, end) during which the load ran, in order, in seconds of the monotonic clock."""

    spans: tuple[tuple[float, float], ...]

    @property
    def start_s(self) -> float:
        """When it first ran."""
        return self.spans[0][0]

    @property
    def end_s(self) -> float:
        """When it last ended."""
        return self.spans[-1][1]

    def on_s(self, times_s: Any) -> Any:
        """How long it had run until each of `times_s`: an array in, an array out."""
        import numpy as np

        corners_s, on_s = self._corners
        return np.interp(times_s, corners_s, on_s)

    @cached_property
    def _corners(self) -> tuple[list[float], list[float]]:
        corners_s: list[float] = []
        on_s: list[float] = []
        total_s = 0.0
        for start_s, end_s in self.spans:
            corners_s += [start_s, end_s]
            on_s += [total_s, total_s + end_s - start_s]
            total_s += end_s - start_s
        return corners_s, on_s


class Load(Protocol):
    """Something that makes a board draw power."""

    def run(self, pulses: Sequence[Pulse]) -> Activity:
        """Run these pulses one after another; returns when it really ran."""


def long_pulses(count: int, rng: random.Random) -> list[Pulse]:
    """Longer than a 1 s average, and irregular, so that no sensor is in step with them."""
    return [(rng.uniform(1.2, 2.0), rng.uniform(1.2, 2.0)) for _ in range(count)]


def short_pulses(count: int, rng: random.Random) -> list[Pulse]:
    """Some steps of a counter long, and irregular."""
    return [(rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.45)) for _ in range(count)]


def beating_pulses(duration_s: float) -> list[Pulse]:
    """52 ms on, 52 ms off: beats against a rhythm of 100 ms."""
    return [(0.052, 0.052)] * round(duration_s / 0.104)
