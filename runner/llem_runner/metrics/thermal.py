"""Temperature and throttling over a span, from the recorder's slow readings. Pure.

Throttling is what lowers clocks against the user's settings: heat, the hardware's own protection, a power brake.
Running at the board's power limit (`sw_power_cap`) is how a busy GPU works; it is a named reason and does not count.
Bits: NVML's nvmlClocksEventReason* constants.
"""

from __future__ import annotations

from collections.abc import Sequence

from llem_runner.contract.result import Thermal

_REASONS = {
    0x04: "sw_power_cap",
    0x08: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
_THROTTLING = frozenset({"hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"})

_HELD_S = 1.5
"""For so long a slow reading stands for what follows: one is taken about every half second."""

Readings = Sequence[tuple[float, float]]
"""(monotonic time in s, value), oldest first."""


def thermal(temperatures: Sequence[Readings], masks: Sequence[Readings], start_s: float, end_s: float) -> Thermal:
    """One sequence of readings a device; `start_c` and `max_c` are the hottest device's."""
    inside_c = [within(readings, start_s, end_s) for readings in temperatures]
    seen = [int(mask) for readings in masks for mask in within(readings, start_s, end_s)]
    reasons = tuple(name for bit, name in _REASONS.items() if any(mask & bit for mask in seen))
    return Thermal(
        start_c=max((values[0] for values in inside_c if values), default=None),
        max_c=max((max(values) for values in inside_c if values), default=None),
        throttled=bool(_THROTTLING.intersection(reasons)) if seen else None,
        reasons=reasons,
    )


def within(readings: Readings, start_s: float, end_s: float) -> list[float]:
    """Values read in the span, in order; in a short one without any the last before it, if it was not long ago."""
    inside = [value for time_s, value in readings if start_s <= time_s <= end_s]
    before = [value for time_s, value in readings if start_s - _HELD_S <= time_s < start_s]
    return inside or before[-1:]
