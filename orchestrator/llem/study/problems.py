"""What is wrong with a study file, and where: problems are collected, so that a file's errors are all told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from llem.errors import UsageError
from llem.printable import on_one_line

MAX_PROBLEMS = 1000
"""More are not collected: a file of ten million wrong keys is answered too."""
_SUGGESTED = 100
_LONGEST_SUGGESTED = 64
_SHOWN_CHARACTERS = 60


class Place(NamedTuple):
    """A place in a file, counted from 1; line 0 is the file as a whole (or the command line)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of a study file; `line` and `column` count from 1 (0: the file as a whole)."""

    file: str
    line: int
    column: int
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" (did you mean '{self.suggestion}'?)" if self.suggestion else ""
        return on_one_line(f"{Place(self.file, self.line, self.column)}: {self.message}{hint}")


class StudyFileError(UsageError):
    """A study file that cannot be used; the text holds one line a problem."""

    def __init__(self, problems: Iterable[Problem], *, more: bool = False) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems]
        if more:
            lines.append(f"… and more: only the first {MAX_PROBLEMS} are shown")
        super().__init__("\n".join(lines))


class TooManyProblems(Exception):
    """Reading stops here: `Problems.error()` has what was found so far."""


class Problems:
    """Collects problems while a file is read."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}
        self._more = False

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def few(self) -> bool:
        """Whether so few were found that each is worth a search for the nearest known name."""
        return len(self._found) < _SUGGESTED

    def add(self, place: Place, message: str, suggestion: str | None = None) -> None:
        """Note a problem (the same one at the same place once). Raises TooManyProblems past the limit."""
        problem = Problem(*place, message, suggestion)
        if problem in self._found:
            return
        if len(self._found) >= MAX_PROBLEMS:
            self._more = True
            raise TooManyProblems
        self._found[problem] = None

    def error(self) -> StudyFileError:
        """All that was found, in the order of files and lines."""
        order = list(dict.fromkeys(problem.file for problem in self._found))
        ordered = sorted(self._found, key=lambda p: (order.index(p.file), p.line, p.column))
        return StudyFileError(ordered, more=self._more)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name nearest to a misspelt one, if one is near."""
    if len(name) > _LONGEST_SUGGESTED:
        return None
    folded = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def shown(text: str) -> str:
    """Text from a file as it may stand in a message: quoted, without control characters, not too long."""
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "…"
    return repr(text)
