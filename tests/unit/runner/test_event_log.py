"""What a run tells of itself, line by line."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from llem_runner.contract.events import EVENT, Event, HeartbeatEvent, PhaseEvent, ProgressEvent, WarningEvent
from llem_runner.event_log import EventLog
from llem_runner.meter import Meter, beating


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl")


def written(tmp_path: Path) -> list[Event]:
    return [EVENT.validate_json(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]


def test_the_last_progress_of_a_phase_is_always_written_and_before_the_next_phase(
    log: EventLog, tmp_path: Path
) -> None:
    log.phase("warmup", 1.0)
    for count in range(1, 51):
        log.progress(count, None, "tokens")
        log.progress(1, None, "iterations")
    log.phase("measure", 2.0)
    events = written(tmp_path)
    assert [event.done for event in events if isinstance(event, ProgressEvent) and event.unit == "tokens"] == [1, 50]
    assert isinstance(events[-1], PhaseEvent)
    assert events[-1].name == "measure"


def test_progress_of_one_unit_does_not_hold_back_another(log: EventLog, tmp_path: Path) -> None:
    log.progress(10, None, "tokens")
    log.progress(1, None, "iterations")
    assert [event.unit for event in written(tmp_path) if isinstance(event, ProgressEvent)] == ["tokens", "iterations"]


def test_the_same_warning_is_written_once(log: EventLog, tmp_path: Path) -> None:
    for _ in range(3):
        log.warning("a", "b")
    assert [(event.code, event.message) for event in written(tmp_path) if isinstance(event, WarningEvent)] == [
        ("a", "b")
    ]
    assert len(log.warnings) == 1


def test_a_write_that_takes_only_a_part_goes_on(log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:7]))
    log.heartbeat(1.0, 2.0)
    monkeypatch.undo()
    [beat] = written(tmp_path)
    assert isinstance(beat, HeartbeatEvent)


def test_a_full_disk_is_an_error_now_and_ever_after(tiny_disk: Path) -> None:
    log = EventLog(tiny_disk / "events.jsonl")
    with pytest.raises(OSError, match="No space") as full:
        for _ in range(2000):
            log.info("x" * 100)
    assert full.value.errno == errno.ENOSPC
    (tiny_disk / "events.jsonl").open("w").close()
    with pytest.raises(OSError, match="No space"):
        log.phase("idle", 0.0)


def test_a_heartbeat_that_the_disk_does_not_take_ends_the_run_at_the_next_event(log: EventLog) -> None:
    met = threading.Event()

    class FullDisk(Meter):
        def beat(self, events: EventLog) -> None:
            met.set()
            raise OSError(errno.ENOSPC, "No space left on device")

    with beating(FullDisk("no GPU"), log, every_s=0.001):
        assert met.wait(20)
    with pytest.raises(OSError, match="No space"):
        log.phase("measure", 0.0)


def test_a_closed_log_takes_nothing_and_says_nothing(log: EventLog, tmp_path: Path) -> None:
    log.close()
    log.close()
    log.info("late")
    assert written(tmp_path) == []
