"""Which dotted paths are set, and by whom: one path, or one that begins with it, may be set only once."""

from __future__ import annotations

from llem.study.keys import Path


class PathSet:
    """Paths with the name of who sets each."""

    def __init__(self) -> None:
        self._set: dict[Path, str] = {}
        self._above: dict[Path, str] = {}

    def clash(self, path: Path) -> str | None:
        """Who sets this path already, or one above it, or one below it."""
        prefixes = (path[:length] for length in range(1, len(path) + 1))
        return self._above.get(path) or next((self._set[p] for p in prefixes if p in self._set), None)

    def add(self, path: Path, name: str) -> None:
        """`name` sets this path."""
        self._set[path] = name
        for length in range(1, len(path) + 1):
            self._above[path[:length]] = name
