from __future__ import annotations

import pytest

from llem.execution.tail import EventTail
from llem_runner.contract.events import PhaseEvent, ProgressEvent

PHASE = b'{"t": 1.0, "event": "phase", "name": "load"}\n'
PROGRESS = b'{"t": 2.0, "event": "progress", "done": 3, "unit": "tokens"}\n'


@pytest.mark.parametrize("cut", range(len(PHASE + PROGRESS) + 1))
def test_events_are_whole_wherever_the_bytes_are_cut(cut: int) -> None:
    data, tail = PHASE + PROGRESS, EventTail()
    events = tail.feed(data[:cut]) + tail.feed(data[cut:])
    assert [type(event) for event in events] == [PhaseEvent, ProgressEvent]
    assert tail.offset == len(data)


@pytest.mark.parametrize(
    "bad",
    [
        b"not json\n",
        b"\n",
        b'{"t": 1, "event": "unknown"}\n',
        b'{"t": 1, "event": "phase", "name": "lunch"}\n',
        b'{"t": "x", "event": "heartbeat"}\n',
        b"\xff\xfe\x00\n",
        b"[" * 10_000 + b"\n",
        b'"' + b"x" * 100_000 + b'"\n',
    ],
)
def test_claim_16_lines_that_are_no_events_are_dropped_and_the_rest_is_read(bad: bytes) -> None:
    assert [type(event) for event in EventTail().feed(PHASE + bad + PROGRESS)] == [PhaseEvent, ProgressEvent]


def test_claim_16_a_line_without_end_does_not_grow_in_memory() -> None:
    tail = EventTail()
    for _ in range(100):
        assert tail.feed(b"x" * 60_000) == []
        assert len(tail._rest) <= 64 * 1024
    assert [type(event) for event in tail.feed(b"x\n" + PHASE)] == [PhaseEvent]
