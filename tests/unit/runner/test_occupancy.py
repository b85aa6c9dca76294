"""Who was on the GPUs of a run, by readings that were made up."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner.marks import Span
from llem_runner.meter import Recording
from llem_runner.metrics.foreign import Occupancy
from llem_runner.occupancy import occupancy, temperature_rise_c
from llem_runner.power.boards import Family
from llem_runner.power.sensors import Board
from llem_runner.power.series import Series
from llem_runner.power.timeline import Timeline

GIB = 2**30
LOAD_S, WINDOW = 30.0, Span(60.0, 90.0)


def board(uuid: str, reserved_bytes: int | None = GIB // 2) -> Board:
    return Board(
        uuid, 0, "x", "", Family.HOPPER, False, (), None, "gpu", "gpu", None, memory_reserved_bytes=reserved_bytes
    )


def recording(*boards: Board, **slow: Any) -> Recording:
    """Every board with the same slow readings, by column."""
    devices = {}
    for one in boards:
        devices[one.uuid] = Series(one.uuid)
        devices[one.uuid].slow.update(slow)
    return Recording(boards, Timeline("monotonic_s", devices))


def test_claim_8_8_before_is_until_the_load_began_and_during_is_the_window() -> None:
    processes = [(1.0, 0), (29.0, 2), (31.0, 9), (59.0, 9), (61.0, 1), (80.0, 3), (91.0, 9)]
    used_bytes = [(1.0, GIB), (29.0, 2 * GIB), (61.0, 40 * GIB)]
    [seen] = occupancy(recording(board("a"), compute_processes=processes, memory_used_bytes=used_bytes), LOAD_S, WINDOW)
    assert seen == Occupancy(processes_before=2, processes_during=3, bytes_before=2 * GIB - GIB // 2)


@pytest.mark.parametrize(
    ("reserved_bytes", "used_bytes", "before_bytes"),
    [(GIB // 2, GIB // 2, 0), (GIB // 2, GIB // 4, 0), (None, GIB, None), (GIB // 2, None, None)],
)
def test_claim_8_8_what_the_driver_reserves_is_nobodys_and_unknown_it_leaves_the_memory_unknown(
    reserved_bytes: int | None, used_bytes: int | None, before_bytes: int | None
) -> None:
    slow = {} if used_bytes is None else {"memory_used_bytes": [(1.0, used_bytes)]}
    [seen] = occupancy(recording(board("a", reserved_bytes), **slow), LOAD_S, WINDOW)
    assert seen == Occupancy(bytes_before=before_bytes)


def test_nothing_is_said_without_a_recording_or_of_a_board_without_readings() -> None:
    assert occupancy(Recording((board("a"),), reason="nobody looked"), LOAD_S, WINDOW) == []
    assert occupancy(Recording((board("a"),), Timeline("monotonic_s", {})), LOAD_S, WINDOW) == [Occupancy()]


def test_claim_8_13_the_rise_is_the_largest_of_any_gpu_above_its_own_start() -> None:
    made = recording(board("a"), board("b"))
    assert made.timeline is not None
    assert temperature_rise_c(made, WINDOW) is None
    made.timeline.devices["a"].slow["temperature_c"] = [(1.0, 30.0), (60.5, 70.0), (80.0, 74.0)]
    made.timeline.devices["b"].slow["temperature_c"] = [(60.5, 40.0), (70.0, 52.0), (80.0, 50.0), (95.0, 90.0)]
    assert temperature_rise_c(made, WINDOW) == 12.0
