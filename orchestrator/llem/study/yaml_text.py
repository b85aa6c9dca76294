"""Bytes of a YAML file → text that the parser may see, or a problem with its place."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from llem.study.problems import Place, Problems

MAX_BYTES = 10_000_000
"""Largest file that is read, in bytes (10 MB)."""

# What YAML 1.1 allows in a stream; anything else (control characters, lone surrogates) is refused with its place.
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read_capped(path: Path) -> bytes:
    """A file's bytes, and no more than one past the limit, so that an endless file ends too.

    Raises OSError, also for what is no regular file: a pipe without a writer would be waited for.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read(MAX_BYTES + 1)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def readable_text(raw: str | bytes, file: str, problems: Problems) -> str | None:
    """The text of a file without its byte-order mark; None (and a problem) where it cannot be YAML."""
    if len(raw) > MAX_BYTES:
        problems.add(Place(file, 1, 1), f"the file is larger than {MAX_BYTES // 1_000_000} MB")
        return None
    text = _decoded(raw, file, problems) if isinstance(raw, bytes) else raw
    if text is None:
        return None
    text = text.removeprefix("\ufeff")
    wrong = _NOT_PRINTABLE.search(text)
    if wrong:
        character = f"U+{ord(wrong.group()):04X}"
        problems.add(_place_of(text, wrong.start(), file), f"the character {character} is not allowed in YAML")
        return None
    return text


def _decoded(raw: bytes, file: str, problems: Problems) -> str | None:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        problems.add(Place(file, 1, 1), "the file is UTF-16: save it as UTF-8")
        return None
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        place = _place_of(before, len(before), file)
        problems.add(place, f"the file is not UTF-8 (byte 0x{raw[error.start]:02x}): save it as UTF-8")
        return None


def _place_of(text: str, position: int, file: str) -> Place:
    lines = re.split("\r\n|\r|\n", text[:position])
    return Place(file, len(lines), len(lines[-1]) + 1)
