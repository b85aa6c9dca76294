"""The meter on the simulated library: waiting, the word of a lost GPU, and what it says of the boards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulated_nvml import Settings, h100
from simulated_nvml.fixtures import SimulatedNvml

from llem_runner.event_log import EventLog
from llem_runner.meter import GpuMeter, Meter
from llem_runner.power.boards import Family
from llem_runner.power.outcomes import GpuLost
from llem_runner.power.recorder import Recorder
from llem_runner.power.sensors import Board
from llem_runner.power.timeline import Timeline

BOARD = Board(h100(0).uuid, 0, h100(0).name, "", Family.HOPPER, True, (), None, "gpu", "gpu", None)


@pytest.fixture
def meter(simulated_nvml: SimulatedNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuMeter]:
    for name, value in simulated_nvml.env.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "power.csv"
    recorder = Recorder.start(path, [BOARD.uuid], 0.047)
    yield GpuMeter((BOARD,), recorder, path)
    recorder.kill()


def test_claim_8_the_word_of_a_lost_gpu_is_waited_for(meter: GpuMeter, simulated_nvml: SimulatedNvml) -> None:
    assert meter.lost_within(0.1) is None
    simulated_nvml.write(Settings(boards=(h100(0).lost(),)))
    lost = meter.lost_within(20)
    assert isinstance(lost, GpuLost)
    assert BOARD.uuid in lost.message


def test_a_wait_says_from_when_to_when_and_none_where_there_was_no_reason_to_wait(
    meter: GpuMeter, tmp_path: Path
) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    assert meter.settle(0.2, log).duration_s >= 0.2
    assert Meter("no GPU").settle(1000, log) is None
    assert meter.simulated
    assert not Meter("no GPU").simulated
    assert Meter("energy.backend is none", (BOARD,)).simulated


def test_claim_7_1_a_mark_is_read_at_once(meter: GpuMeter, tmp_path: Path) -> None:
    marked_s = []
    for _ in range(8):
        time.sleep(0.12)
        marked_s.append(time.monotonic())
        meter.mark()
    time.sleep(0.2)
    series = Timeline.read(tmp_path / "power.csv").devices[BOARD.uuid]
    evenly = (series.before_s[-1] - series.before_s[0]) / 0.047 + 1
    # Some marks fall right behind a reading, which then serves.
    assert len(series) >= evenly + 4
    assert meter.finish().timeline is not None
    meter.mark()
