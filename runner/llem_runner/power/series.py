"""The readings of one device over a run, as the estimator takes them. Pure, standard library only."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

ABSENT = math.nan
"""How an absent reading is stored."""


@dataclass(frozen=True)
class Series:
    """Readings of one device, row by row. An absent value is NaN.

    `before_s`, `after_s`: the values of a row held at some moment between the two, in seconds of one clock.
    `counter_mj` in millijoule, powers in watt. `slow` holds, per column of `readings.Slow`, the (time, value) pairs
    that were read.
    """

    device: str
    before_s: array[float] = field(default_factory=lambda: array("d"))
    after_s: array[float] = field(default_factory=lambda: array("d"))
    counter_mj: array[float] = field(default_factory=lambda: array("d"))
    power_w: array[float] = field(default_factory=lambda: array("d"))
    power_average_w: array[float] = field(default_factory=lambda: array("d"))
    power_instant_w: array[float] = field(default_factory=lambda: array("d"))
    slow: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def append(
        self,
        before_s: float,
        after_s: float,
        *,
        counter_mj: float = ABSENT,
        power_w: float = ABSENT,
        power_average_w: float = ABSENT,
        power_instant_w: float = ABSENT,
    ) -> None:
        """Add one row at the end."""
        self.before_s.append(before_s)
        self.after_s.append(after_s)
        self.counter_mj.append(counter_mj)
        self.power_w.append(power_w)
        self.power_average_w.append(power_average_w)
        self.power_instant_w.append(power_instant_w)

    def __len__(self) -> int:
        return len(self.before_s)

    def rows(self, chosen: Sequence[int]) -> Series:
        """The same readings, of the `chosen` rows only, in that order."""

        def pick(values: array[float]) -> array[float]:
            return array("d", (values[row] for row in chosen))

        return replace(
            self,
            before_s=pick(self.before_s),
            after_s=pick(self.after_s),
            counter_mj=pick(self.counter_mj),
            power_w=pick(self.power_w),
            power_average_w=pick(self.power_average_w),
            power_instant_w=pick(self.power_instant_w),
        )

    @property
    def has_counter(self) -> bool:
        """Whether any row holds the energy counter."""
        return _any_present(self.counter_mj)

    def latest_power_w(self) -> float | None:
        """The last known power, instant before plain before average; None where the board tells none."""
        for column in (self.power_instant_w, self.power_w, self.power_average_w):
            for value in reversed(column):
                if not math.isnan(value):
                    return value
        return None

    def disorder(self) -> str | None:
        """Why the rows cannot be used as they are (time runs backwards), or None."""
        for row in range(1, len(self)):
            if self.before_s[row] < self.before_s[row - 1] or self.after_s[row] < self.after_s[row - 1]:
                return f"the readings are not in order of time (row {row + 1} is earlier than the one before it)"
        return None


def present(values: Sequence[float]) -> list[int]:
    """Rows at which `values` holds a reading."""
    return [row for row, value in enumerate(values) if not math.isnan(value)]


def _any_present(values: Sequence[float]) -> bool:
    return any(not math.isnan(value) for value in values)
