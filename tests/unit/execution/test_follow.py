"""A run is followed to its end: what it has written is read at once, however much it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from llem.ended import Ended
from llem.execution.follow import follow
from llem.execution.interrupts import Interrupts
from llem.execution.watch import Limits, Watch
from llem.launch.protocol import Launcher, Poll
from llem.launch.shared_folder import polled
from llem.untrusted import MOST_IN_PIECES_BYTES


class EndedRun:
    """A run that has ended, and left what lies in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.polls: list[Poll] = []

    def poll(self, handle: str, offset: int) -> Poll:
        del handle
        self.polls.append(polled(self._folder, offset, Ended(0)))
        return self.polls[-1]


class NeverWaited(Interrupts):
    def wait(self, seconds: float) -> bool:
        raise AssertionError(f"waited {seconds} s for a run that has ended")


def followed(folder: Path) -> tuple[EndedRun, list[Any], Ended]:
    run, events = EndedRun(folder), list[Any]()
    watch = Watch(Limits(run_s=None, load_s=1e6, silence_s=1e6), 0.0)
    ended, verdict = follow(cast(Launcher, run), "x", watch, NeverWaited(), events.append, print, now=lambda: 0.0)
    assert verdict is None
    return run, events, ended


def test_claim_6_9_the_end_of_a_run_is_not_waited_for_while_its_events_are_read(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / "events.jsonl").open("wb") as file:
        for _ in range(17):
            file.write(b"x" * (1 << 20) + b"\n")
        file.write(b'{"event": "phase", "name": "measure", "t": 1.0}\n')
    run, events, ended = followed(tmp_path)
    assert ended == Ended(0)
    assert [event.name for event in events] == ["measure"]
    assert [poll.more for poll in run.polls] == [True, True, False]


def test_claim_6_7_events_without_end_are_read_up_to_the_cap(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "events.jsonl").touch()
    os.truncate(tmp_path / "out" / "events.jsonl", 1 << 40)
    run, events, ended = followed(tmp_path)
    assert (ended, events) == (Ended(0), [])
    assert sum(len(poll.events) for poll in run.polls) == MOST_IN_PIECES_BYTES
