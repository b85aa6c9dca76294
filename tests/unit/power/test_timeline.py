"""Timelines read back: ours and others', whole and torn."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from llem_runner.power.readings import HEADER, Reading, Slow, as_line
from llem_runner.power.timeline import UNKNOWN_READ_S, Timeline, TimelineError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "power.csv"
    path.write_text(text)
    return path


def test_what_the_recorder_writes_is_read_back_with_its_brackets(tmp_path: Path) -> None:
    slow = Slow(temperature_c=41, throttle_reasons=4)
    readings = [
        Reading("GPU-a", 10.0, 10.001, counter_mj=17961707405055, power_instant_w=300.125, slow=slow),
        Reading("GPU-b", 10.001, 10.002, power_w=72.0),
        Reading("GPU-a", 10.047, 10.048, counter_mj=17961707435011),
    ]
    timeline = Timeline.read(write(tmp_path, HEADER + "".join(as_line(reading, 1.7e9) for reading in readings)))
    first = timeline.devices["GPU-a"]
    assert timeline.clock == "monotonic_s"
    assert list(first.counter_mj) == [17961707405055, 17961707435011]
    assert first.power_instant_w[0] == 300.125
    assert math.isnan(first.power_instant_w[1])
    assert math.isnan(first.power_w[0])
    assert [value for _, value in first.slow["temperature_c"]] == [41]
    assert "sm_clock_mhz" not in first.slow
    for row, reading in enumerate(readings[::2]):
        assert first.before_s[row] <= reading.before_s
        assert first.after_s[row] >= reading.after_s
    assert not timeline.devices["GPU-b"].has_counter


def test_a_timeline_of_others_has_unix_time_and_no_read_time(tmp_path: Path) -> None:
    timeline = Timeline.read(write(tmp_path, "unix_s,device,power_w,note\n1689325826.905,0,56.38,x\n"))
    series = timeline.devices["0"]
    assert timeline.clock == "unix_s"
    assert series.after_s[0] - series.before_s[0] == pytest.approx(UNKNOWN_READ_S, abs=1e-6)
    assert series.power_w[0] == 56.38


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    timeline = Timeline.read(write(tmp_path, "unix_s,device,counter_mj\n1.0,0,5\n1.1,0,1234567"))
    assert list(timeline.devices["0"].counter_mj) == [5]


def test_a_reading_that_cannot_be_is_absent(tmp_path: Path) -> None:
    timeline = Timeline.read(write(tmp_path, "unix_s,device,power_w\n1.0,0,nan\n1.1,0,-5\n1.2,0,inf\n1.3,0,\n"))
    assert all(math.isnan(value) for value in timeline.devices["0"].power_w)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "first line"),
        ("unix_s,power_w\n1.0,5\n", "device"),
        ("device,power_w\n0,5\n", "monotonic_s or unix_s"),
        ("unix_s,device,power_w\n1.0,0\n", ":2: 2 cells"),
        ("unix_s,device,power_w\n1.0,0,5\nsoon,0,5\n", ":3: unix_s is 'soon'"),
        ("unix_s,device,power_w\n,0,5\n", ":2: unix_s"),
        ("unix_s,device,power_w\n1.0,0,much\n", ":2: power_w is 'much'"),
    ],
)
def test_a_file_that_is_no_timeline_is_named_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(TimelineError, match=complaint):
        Timeline.read(write(tmp_path, text))


def test_the_tail_of_a_growing_file_starts_at_a_whole_line(tmp_path: Path) -> None:
    rows = "".join(f"{n}.0,0,{n}\n" for n in range(1000, 1100))
    path = write(tmp_path, "unix_s,device,counter_mj\n" + rows + "1100.0,0,1")
    tail = Timeline.read_tail(path, 100)
    counters = list(tail.devices["0"].counter_mj)
    assert counters == list(range(1100 - len(counters), 1100))
    assert 5 <= len(counters) <= 8
    assert len(Timeline.read_tail(path, 10**6).devices["0"]) == 100


def test_stats_tell_period_jitter_and_largest_gap_of_the_device_read_least_evenly(tmp_path: Path) -> None:
    times = [n * 0.05 for n in range(100)]
    even = "".join(f"{time},a,1\n" for time in times)
    gappy = "".join(f"{time},b,1\n" for time in times if not 2.0 <= time < 2.5)
    stats = Timeline.read(write(tmp_path, "monotonic_s,device,power_w\n" + even + gappy)).stats()
    assert stats is not None
    assert stats.largest_gap_s == pytest.approx(0.55)
    assert stats.jitter_p50_s == pytest.approx(0, abs=1e-9)
    assert stats.jitter_p99_s == pytest.approx(0.5)
    assert Timeline.read(write(tmp_path, "monotonic_s,device,power_w\n1,a,1\n")).stats() is None


def test_from_the_last_reading_to_the_end_of_what_was_to_be_read_is_a_gap_as_well(tmp_path: Path) -> None:
    rows = "".join(f"{n * 0.05},{device},1\n" for n in range(100) for device in "ab" if device == "a" or n < 90)
    timeline = Timeline.read(write(tmp_path, "monotonic_s,device,power_w\n" + rows))
    for until_s, gap_s in ((4.0, 0.05), (4.95, 0.5), (8.95, 4.5)):
        stats = timeline.stats(until_s)
        assert stats is not None
        assert stats.largest_gap_s == pytest.approx(gap_s)
