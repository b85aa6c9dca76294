"""Events of a run whose folder is on this host, as a launcher polls them."""

from __future__ import annotations

from pathlib import Path

from llem.ended import Ended
from llem.launch.protocol import Poll
from llem.untrusted import read_piece
from llem_runner.contract.exchange import EVENTS_FILE, OUT

_PIECE_BYTES = 8 << 20


def polled(run_folder: Path, offset: int, ended: Ended | None) -> Poll:
    """The next piece of the events; the end only once all of them are read.

    `ended` was looked at before: what is written before the end is then read after it, and nothing is missed.
    """
    events = read_piece(run_folder, f"{OUT}/{EVENTS_FILE}", offset, _PIECE_BYTES)
    more = len(events) == _PIECE_BYTES
    return Poll(events, None if more else ended, more)
