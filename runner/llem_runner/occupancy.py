"""Who was on the GPUs of a run, and how warm they became, by the recorder's slow readings."""

from __future__ import annotations

import math

from llem_runner.marks import Span
from llem_runner.meter import Recording
from llem_runner.metrics.foreign import Occupancy
from llem_runner.metrics.thermal import Readings, within
from llem_runner.power.sensors import Board


def occupancy(recording: Recording, load_s: float, window: Span) -> list[Occupancy]:
    """Each GPU that was read, before the load that began at `load_s` and in the window; empty without a recording."""
    return [_of_board(recording, board, load_s, window) for board in recording.boards if recording.timeline]


def temperature_rise_c(recording: Recording, window: Span) -> float | None:
    """The largest rise of any GPU above its temperature at the window's start; None where no board tells."""
    read = [
        within(_slow(recording, board, "temperature_c"), window.start_s, window.end_s) for board in recording.boards
    ]
    return max((max(values_c) - values_c[0] for values_c in read if values_c), default=None)


def _of_board(recording: Recording, board: Board, load_s: float, window: Span) -> Occupancy:
    processes = _slow(recording, board, "compute_processes")
    used_bytes = _most(_slow(recording, board, "memory_used_bytes"), -math.inf, load_s)
    reserved_bytes = board.memory_reserved_bytes
    known = used_bytes is not None and reserved_bytes is not None
    return Occupancy(
        processes_before=_most(processes, -math.inf, load_s),
        processes_during=_most(processes, window.start_s, window.end_s),
        bytes_before=max(0, (used_bytes or 0) - (reserved_bytes or 0)) if known else None,
    )


def _slow(recording: Recording, board: Board, column: str) -> Readings:
    series = recording.timeline.devices.get(board.uuid) if recording.timeline else None
    return series.slow.get(column, []) if series is not None else []


def _most(readings: Readings, start_s: float, end_s: float) -> int | None:
    values = within(readings, start_s, end_s)
    return int(max(values)) if values else None
