"""Turns bytes of `out/events.jsonl` into events as they arrive. They are a stranger's: bad lines are dropped."""

from __future__ import annotations

from pydantic import ValidationError

from llem_runner.contract.events import EVENT, Event

_LONGEST_LINE_BYTES = 64 * 1024


class EventTail:
    """Keeps the offset and the unfinished last line between two looks."""

    def __init__(self) -> None:
        self.offset = 0
        self._rest = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[Event]:
        """Whole events in `data`, which begins at `offset`."""
        self.offset += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        if self._skipping and lines:
            lines = lines[1:]
            self._skipping = False
        # A line without an end must not grow in our memory for ever.
        if len(rest) > _LONGEST_LINE_BYTES:
            rest, self._skipping = b"", True
        self._rest = rest
        return [event for line in lines if (event := _parse(line)) is not None]


def _parse(line: bytes) -> Event | None:
    if not line or len(line) > _LONGEST_LINE_BYTES:
        return None
    try:
        return EVENT.validate_json(line)
    except ValidationError:
        return None
