"""One reading of one board, and the line of `out/power.csv` that holds it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Slow:
    """The readings that change slowly and are taken less often. None: not supported.

    `throttle_reasons` is NVML's bit mask; clocks in MHz; `utilisation_percent` is the share of time with a kernel.
    """

    temperature_c: int | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    utilisation_percent: int | None = None
    memory_used_bytes: int | None = None
    throttle_reasons: int | None = None
    compute_processes: int | None = None


NOT_READ = Slow()


@dataclass(frozen=True)
class Reading:
    """What a board said between `before_s` and `after_s` of the monotonic clock. None: no such reading.

    `counter_mj` is the energy counter in millijoule; `power_w` is `nvmlDeviceGetPowerUsage` and means what the board's
    family makes of it; `power_average_w` and `power_instant_w` are fields 185 and 186.
    """

    uuid: str
    before_s: float
    after_s: float
    counter_mj: int | None = None
    power_w: float | None = None
    power_average_w: float | None = None
    power_instant_w: float | None = None
    slow: Slow = NOT_READ


SLOW_COLUMNS = tuple(field.name for field in fields(Slow))
COLUMNS = (
    "monotonic_s",
    "unix_s",
    "device",
    "counter_mj",
    "power_w",
    "power_average_w",
    "power_instant_w",
    *SLOW_COLUMNS,
    "read_s",
)
"""`monotonic_s` is the middle of the call that read the board and `read_s` how long that call took: the values held at
some moment within monotonic_s ± read_s / 2. `unix_s` is the same moment by the run's one offset. An empty cell: no such
reading, or a slow one that was not due."""

HEADER = ",".join(COLUMNS) + "\n"


def as_line(reading: Reading, unix_offset_s: float) -> str:
    """The CSV line of `reading`, newline included."""
    slow = reading.slow
    read_s = reading.after_s - reading.before_s
    middle_s = reading.before_s + read_s / 2
    cells = (
        f"{middle_s:.6f}",
        f"{middle_s + unix_offset_s:.6f}",
        reading.uuid,
        _cell(reading.counter_mj),
        _cell(reading.power_w),
        _cell(reading.power_average_w),
        _cell(reading.power_instant_w),
        *(_cell(getattr(slow, name)) for name in SLOW_COLUMNS),
        # Rounded up, so that the bracket that it opens never shrinks.
        f"{read_s + 2e-6:.6f}",
    )
    return ",".join(cells) + "\n"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
