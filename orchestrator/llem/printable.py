"""Words from files and strangers, fit for a terminal: nothing in them moves the cursor or begins a line."""

from __future__ import annotations

import json
import re

# Control characters, the terminal's escape sequences among them, and halves of surrogate pairs.
_UNPRINTABLE = re.compile(r"[^\S\n ]|[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

# What may stand in JSON as it is, and be nothing to see: DEL, and anything beyond ASCII.
_NOT_ASCII = re.compile(r"[^\n\x20-\x7e]")


def printable(text: str, limit: int = 2000) -> str:
    """A stranger's words without control characters (each a space), not endless; their lines stay lines."""
    clean = _UNPRINTABLE.sub(" ", text)
    return clean if len(clean) <= limit else clean[:limit] + "…"


def on_one_line(text: str) -> str:
    r"""Text with everything that is not to be seen written out, line ends too: a name of `a⏎b` shows as `a\nb`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def on_own_lines(text: str) -> str:
    """A message of several lines, each of them clean."""
    return "\n".join(on_one_line(line) for line in text.split("\n"))


def json_for_terminal(text: str) -> str:
    """JSON with the same values, in which what cannot be seen is escaped (JSON itself allows U+009B or U+202E bare)."""
    return _NOT_ASCII.sub(lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def on_further_lines(text: str) -> str:
    """A stranger's words after ours: of several lines those after the first are set in, and none begins as ours do."""
    return printable(text).replace("\n", "\n    ")
