"""Spans of a run, on a clock that the test turns."""

from __future__ import annotations

import itertools

import pytest

from llem_runner.contract.events import PhaseName
from llem_runner.marks import Marks, Span


@pytest.fixture
def told() -> list[tuple[PhaseName, float]]:
    return []


@pytest.fixture
def marks(told: list[tuple[PhaseName, float]]) -> Marks:
    ticks = itertools.count(10)
    return Marks(lambda name, at_s: told.append((name, at_s)), lambda: float(next(ticks)), unix_offset_s=1000.0)


def test_a_phase_is_told_at_its_start_and_kept_with_its_end(marks: Marks, told: list[tuple[PhaseName, float]]) -> None:
    with marks.phase("idle"):
        assert told == [("idle", 10.0)]
        assert marks.phases == {}
    assert marks.phases == {"idle": Span(10.0, 11.0)}
    assert marks.phases["idle"].duration_s == 1.0


def test_a_phase_that_failed_is_the_one_in_hand_and_has_no_span(marks: Marks) -> None:
    with marks.phase("idle"):
        pass
    with pytest.raises(ValueError, match="x"), marks.phase("load"):
        raise ValueError("x")
    assert marks.phase_in_hand == "load"
    assert set(marks.phases) == {"idle"}


def test_one_offset_turns_all_times_into_realtime(marks: Marks) -> None:
    assert marks.unix(5.0) == 1005.0
