"""`container.log`: a stranger's words, kept so that they harm neither a terminal nor a disk. Pure but for the file."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from llem.printable import printable

LOG_FILE = "container.log"
HEAD_BYTES = 4 << 20
TAIL_BYTES = 4 << 20
_LAST_WORDS_BYTES = 64 << 10
_LONGEST_LINE = 4000


def write_log(path: Path, chunks: Iterable[bytes]) -> None:
    """Write what a run printed: its first and last 4 MiB, without control characters. Raises OSError."""
    head, tail, left_out = _ends(chunks)
    with path.open("w", encoding="utf-8") as file:
        file.write(_harmless(head))
        if left_out:
            file.write(f"\n… {left_out:,} bytes left out here …\n")
        file.write(_harmless(tail))


def clean_log(path: Path) -> None:
    """The same for a file that the run wrote itself. Raises OSError."""
    raw = path.with_name(f".{path.name}.raw")
    path.rename(raw)
    with raw.open("rb") as file:
        write_log(path, iter(lambda: file.read(1 << 20), b""))
    raw.unlink()


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log that one of the above wrote; none where there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _LAST_WORDS_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [_end_of(printable(line, len(line))) for line in text.splitlines() if line.strip()][-count:]


def _end_of(line: str) -> str:
    """Its last words: what went wrong stands at the end of a line that never ended."""
    return line if len(line) <= _LONGEST_LINE else "…" + line[-_LONGEST_LINE:]


def _ends(chunks: Iterable[bytes]) -> tuple[bytes, bytes, int]:
    """The first bytes, the last, and how many there were in between. Never holds more than that in memory."""
    head = bytearray()
    tail: deque[bytes] = deque()
    held = left_out = 0
    for chunk in chunks:
        room = HEAD_BYTES - len(head)
        head += chunk[:room]
        rest = chunk[room:] if room > 0 else chunk
        if rest:
            tail.append(rest)
            held += len(rest)
        while held > TAIL_BYTES and len(tail) > 1:
            gone = tail.popleft()
            held -= len(gone)
            left_out += len(gone)
    last = b"".join(tail)
    if len(last) > TAIL_BYTES:
        left_out += len(last) - TAIL_BYTES
        last = last[-TAIL_BYTES:]
    return bytes(head), last, left_out


def _harmless(data: bytes) -> str:
    text = codecs.decode(data, "utf-8", errors="replace")
    # A progress bar draws over itself: in a file each of its states is a line.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return printable(text, len(text))
