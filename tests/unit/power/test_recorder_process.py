"""The recorder's loop: absolute deadlines, no drift and no burst, and one write a reading."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from llem_runner.power import recorder_process
from llem_runner.power.outcomes import GpuLost
from llem_runner.power.readings import HEADER, NOT_READ, Reading, Slow
from llem_runner.power.recorder_process import ASKED_EVERY_S, SLOW_EVERY_TICKS, SOONEST_S, Wake, next_deadline

BOARDS = [f"GPU-{number}" for number in range(8)]
OFFSET_S = 1.7e9


@pytest.mark.parametrize(
    ("now_s", "periods"),
    [(10.0, 1), (10.02, 1), (10.046, 1), (10.048, 2), (10.2, 5), (9.0, 1)],
)
def test_claim_7_1_the_next_deadline_is_a_whole_number_of_periods_on_and_never_past(now_s: float, periods: int) -> None:
    deadline_s = next_deadline(10.0, 0.047, now_s)
    assert deadline_s == pytest.approx(10.0 + periods * 0.047)
    assert deadline_s > now_s


class Clock:
    """Time that passes only where somebody waits, or where it is made to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


class Boards:
    """Sensors that note what was asked when, and what of it was in the file by then."""

    def __init__(self, clock: Clock, out: Path) -> None:
        self.clock, self.out = clock, out
        self.asked: list[tuple[float, str, bool]] = []
        self.lines_before: list[int] = []
        self.takes_s: dict[int, float] = {}
        self.counter_mj = 5_000

    def read(self, uuid: str, *, slow: bool) -> Reading:
        self.lines_before.append(self.out.read_bytes().count(b"\n"))
        before_s = self.clock.now_s
        self.clock.now_s += self.takes_s.get(len(self.asked), 1e-5)
        self.asked.append((before_s, uuid, slow))
        values = Slow(temperature_c=40) if slow else NOT_READ
        return Reading(uuid, before_s, self.clock.now_s, self.counter_mj, power_instant_w=300.0, slow=values)


class Lifeline:
    """Holds for so many ticks; `asked_s` are the moments at which somebody asks for a reading."""

    def __init__(self, clock: Clock, ticks: int, asked_s: Sequence[float] = ()) -> None:
        self.clock, self.left, self.asked_s = clock, ticks, list(asked_s)

    def wait_until(self, deadline_s: float) -> Wake:
        assert deadline_s > self.clock.now_s
        if self.asked_s and self.asked_s[0] < deadline_s:
            self.clock.now_s = self.asked_s.pop(0)
            return Wake.ASKED
        self.clock.now_s = deadline_s
        self.left -= 1
        return Wake.DUE if self.left > 0 else Wake.OVER


@pytest.fixture
def boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Boards:
    clock = Clock()
    monkeypatch.setattr("llem_runner.power.recorder_process.time", clock)
    return Boards(clock, tmp_path / "power.csv")


def record(boards: Boards, ticks: int, uuids: list[str] = BOARDS, asked_s: Sequence[float] = ()) -> None:
    lifeline = Lifeline(boards.clock, ticks, asked_s)
    recorder_process._record(boards, str(boards.out), uuids, 0.047, OFFSET_S, lifeline)  # type: ignore[arg-type]


def test_claim_7_1_every_sample_is_one_write_and_on_the_disk_before_the_next_is_taken(
    boards: Boards, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    write = os.write

    def counted(file: int, data: bytes) -> int:
        written.append(data)
        return write(file, data)

    monkeypatch.setattr(recorder_process.os, "write", counted)
    record(boards, 5)
    assert written[0] == HEADER.encode()
    assert len(written) == 1 + 5 * len(BOARDS)
    assert all(line.count(b"\n") == 1 for line in written)
    assert boards.lines_before == list(range(1, len(written)))


def test_claim_7_1_slow_readings_are_taken_twice_a_second_and_never_of_all_boards_at_once(boards: Boards) -> None:
    ticks = 1 + 4 * SLOW_EVERY_TICKS
    record(boards, ticks)
    slow = [
        sum(due for _, _, due in boards.asked[k : k + len(BOARDS)]) for k in range(0, len(boards.asked), len(BOARDS))
    ]
    # The first time all of them, so that a short run knows them too.
    assert slow[0] == len(BOARDS)
    assert max(slow[1:]) == 1
    for uuid in BOARDS:
        assert sum(due for _, name, due in boards.asked if name == uuid) == pytest.approx(5, abs=1)
    assert 0.45 < SLOW_EVERY_TICKS * 0.047 < 0.55


def test_claim_7_1_a_delay_is_never_made_up_for_by_a_burst(boards: Boards) -> None:
    boards.takes_s = {3: 0.5}
    record(boards, 10, ["GPU-0"])
    starts_s = [start_s for start_s, _, _ in boards.asked]
    periods = [round((later - earlier) / 0.047, 3) for earlier, later in itertools.pairwise(starts_s)]
    assert periods == [1, 1, 1, 11, 1, 1, 1, 1, 1]


def test_claim_7_1_a_reading_that_is_asked_for_is_taken_at_once_and_the_even_ones_stay_where_they_were(
    boards: Boards,
) -> None:
    record(boards, 4, ["GPU-0", "GPU-1"], asked_s=[100.03, 100.135])
    starts_s = [start_s for start_s, uuid, _ in boards.asked if uuid == "GPU-0"]
    assert starts_s == pytest.approx([100.0, 100.03, 100.047, 100.094, 100.135, 100.141])
    assert [uuid for _, uuid, _ in boards.asked] == ["GPU-0", "GPU-1"] * 6
    # The slow readings keep to their turns.
    assert [slow for _, _, slow in boards.asked].count(True) == 2


def test_claim_7_1_readings_that_are_asked_for_in_a_loop_are_no_burst(boards: Boards) -> None:
    ticks = 40
    record(boards, ticks, ["GPU-0"], asked_s=[100.001 + n * SOONEST_S / 5 for n in range(2000)])
    starts_s = [start_s for start_s, _, _ in boards.asked]
    recorded_s = ticks * 0.047
    assert ticks + 0.5 * recorded_s / ASKED_EVERY_S < len(starts_s) <= ticks + recorded_s / ASKED_EVERY_S + 1
    evenly_s = [100 + n * 0.047 for n in range(ticks)]
    assert all(any(abs(start_s - even_s) < 1e-3 for start_s in starts_s) for even_s in evenly_s)


def test_both_clocks_of_a_reading_differ_by_the_runs_offset(boards: Boards) -> None:
    record(boards, 3, ["GPU-0"])
    for line in boards.out.read_text().splitlines()[1:]:
        monotonic_s, unix_s, *_ = line.split(",")
        assert float(unix_s) - float(monotonic_s) == pytest.approx(OFFSET_S, abs=1e-5)


def test_claim_7_3_a_broken_counter_ends_the_recording_after_the_reading_that_shows_it(boards: Boards) -> None:
    class Resetting(Boards):
        def read(self, uuid: str, *, slow: bool) -> Reading:
            self.counter_mj = 10_000 if len(self.asked) < 3 else 0
            return super().read(uuid, slow=slow)

    with pytest.raises(GpuLost, match="GPU-0: the energy counter went backwards by 10"):
        record(Resetting(boards.clock, boards.out), 10, ["GPU-0"])
    assert [line.split(",")[3] for line in boards.out.read_text().splitlines()[1:]] == ["10000"] * 3 + ["0"]
