"""The shapes of power that the settings file knows, each as pieces of a curve and as words in the file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields

from .curve import Component, Piece


@dataclass(frozen=True, kw_only=True)
class Shape(ABC):
    """A periodic course of power. `phase_s`: its first period begins that long after the epoch."""

    phase_s: float = 0.0

    @abstractmethod
    def pieces(self) -> Sequence[Piece]:
        """One period of it."""

    def component(self) -> Component:
        """The curve, ready to be integrated."""
        return Component.of(self.pieces(), self.phase_s)

    def words(self) -> str:
        """The value of a `power` key."""
        numbers = (f"{field.name}={float(getattr(self, field.name))!r}" for field in fields(self))
        return " ".join([type(self).__name__.lower(), *numbers])


@dataclass(frozen=True, kw_only=True)
class Constant(Shape):
    """The same power for ever."""

    watts: float

    def pieces(self) -> Sequence[Piece]:
        return [Piece(1.0, self.watts, self.watts)]


@dataclass(frozen=True, kw_only=True)
class Square(Shape):
    """High for the share `duty` of the period, then low."""

    high_w: float
    period_s: float
    low_w: float = 0.0
    duty: float = 0.5

    def pieces(self) -> Sequence[Piece]:
        return [
            Piece(self.duty * self.period_s, self.high_w, self.high_w),
            Piece((1 - self.duty) * self.period_s, self.low_w, self.low_w),
        ]


@dataclass(frozen=True, kw_only=True)
class Saw(Shape):
    """Straight from `from_w` to `to_w`, then again from the start."""

    to_w: float
    period_s: float
    from_w: float = 0.0

    def pieces(self) -> Sequence[Piece]:
        return [Piece(self.period_s, self.from_w, self.to_w)]


@dataclass(frozen=True, kw_only=True)
class Triangle(Shape):
    """Straight from `from_w` to `to_w` in half of the period, and back in the other."""

    to_w: float
    period_s: float
    from_w: float = 0.0

    def pieces(self) -> Sequence[Piece]:
        half_s = self.period_s / 2
        return [Piece(half_s, self.from_w, self.to_w), Piece(half_s, self.to_w, self.from_w)]


@dataclass(frozen=True, kw_only=True)
class Burst(Shape):
    """`count` bursts of `burst_s`, `gap_s` apart, then low until the period is over."""

    high_w: float
    burst_s: float
    period_s: float
    low_w: float = 0.0
    gap_s: float = 0.0
    count: int = 1

    def pieces(self) -> Sequence[Piece]:
        burst = Piece(self.burst_s, self.high_w, self.high_w)
        gap = Piece(self.gap_s, self.low_w, self.low_w)
        pieces = [burst, *[gap, burst] * (self.count - 1)]
        spent_s = 0.0
        for piece in pieces:
            spent_s += piece.duration_s
        return [*pieces, Piece(self.period_s - spent_s, self.low_w, self.low_w)]


@dataclass(frozen=True, kw_only=True)
class Trace(Shape):
    """Any pieces `(seconds, watts)` or `(seconds, from_w, to_w)`, one after another, repeated for ever."""

    course: tuple[tuple[float, float] | tuple[float, float, float], ...]

    def pieces(self) -> Sequence[Piece]:
        return [Piece(part[0], part[1], part[-1]) for part in self.course]

    def words(self) -> str:
        parts = (f"{float(p.duration_s)!r}:{float(p.from_w)!r}>{float(p.to_w)!r}" for p in self.pieces())
        return " ".join(["trace", *parts, f"phase_s={self.phase_s!r}"])
