"""Temperature and throttling over a span, from the recorder's slow readings. Pure.

Throttling is what lowers clocks against the user's settings: heat, the hardware's own protection, a power brake.
Running at the board's power limit (`sw_power_cap`) is how a busy GPU works, and `applications_clocks_setting` is a
clock that somebody locked: named reasons that do not count. Bits: NVML's nvmlClocksEventReason* constants.

    reading        r1        r2        r3        r4
    mask           0         8         8         0
    span      ▕▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▏
    known     ▕◀──── r1 ─────▶◀─ r2 ──▶◀─ r3 ──▶◀─ r4 ─▶▏   bit 8 was set from r2 to r4
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from llem_runner.contract.result import ClockReason, DeviceThermal, Thermal

_REASONS = {
    0x02: "applications_clocks_setting",
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


def thermal(
    temperatures: Mapping[str, Readings], masks: Mapping[str, Readings], start_s: float, end_s: float
) -> Thermal:
    """Of the devices (by UUID) that were read; `start_c` and `max_c` are the hottest device's."""
    devices = tuple(
        device_thermal(uuid, temperatures.get(uuid, ()), masks.get(uuid, ()), start_s, end_s)
        for uuid in dict.fromkeys((*temperatures, *masks))
    )
    seen = {reason.name for device in devices for reason in device.reasons}
    told = [device.throttled for device in devices]
    return Thermal(
        start_c=max((device.start_c for device in devices if device.start_c is not None), default=None),
        max_c=max((device.max_c for device in devices if device.max_c is not None), default=None),
        # One that throttled decides; else a board that does not tell leaves it unknown.
        throttled=True if True in told else None if None in told or not told else False,
        reasons=tuple(name for name in _REASONS.values() if name in seen),
        devices=devices,
    )


def device_thermal(uuid: str, temperatures: Readings, masks: Readings, start_s: float, end_s: float) -> DeviceThermal:
    """Of one device: its temperature, and how long each reason for lower clocks was set."""
    inside_c = within(temperatures, start_s, end_s)
    held = list(_held(masks, start_s, end_s))
    observed_s = sum(duration_s for duration_s, _ in held)
    reasons = tuple(_reasons(held, observed_s))
    return DeviceThermal(
        uuid=uuid,
        start_c=inside_c[0] if inside_c else None,
        max_c=max(inside_c, default=None),
        throttled=bool(_THROTTLING.intersection(reason.name for reason in reasons)) if held else None,
        observed_s=observed_s,
        reasons=reasons,
    )


def within(readings: Readings, start_s: float, end_s: float) -> list[float]:
    """Values read in the span, in order; in a short one without any the last before it, if it was not long ago."""
    return [value for _, value in _relevant(readings, start_s, end_s)]


def _relevant(readings: Readings, start_s: float, end_s: float) -> list[tuple[float, float]]:
    inside = [reading for reading in readings if start_s <= reading[0] <= end_s]
    before = [reading for reading in readings if start_s - _HELD_S <= reading[0] < start_s]
    return inside or before[-1:]


def _held(masks: Readings, start_s: float, end_s: float) -> Iterator[tuple[float, int]]:
    """(seconds, mask): each reading until the next one, the first from the span's start on, none for over 1.5 s."""
    relevant = _relevant(masks, start_s, end_s)
    for index, (time_s, mask) in enumerate(relevant):
        next_s = relevant[index + 1][0] if index + 1 < len(relevant) else end_s
        until_s = min(next_s, time_s + _HELD_S, end_s)
        since_s = time_s if index else max(start_s, time_s - _HELD_S)
        yield max(until_s - since_s, 0.0), int(mask)


def _reasons(held: Sequence[tuple[float, int]], observed_s: float) -> Iterator[ClockReason]:
    for bit, name in _REASONS.items():
        if any(mask & bit for _, mask in held):
            duration_s = sum(duration_s for duration_s, mask in held if mask & bit)
            share = min(duration_s / observed_s, 1.0) if observed_s > 0 else 1.0
            yield ClockReason(name=name, duration_s=duration_s, share=share)
