"""What a sweep varies: axes and groups, each a list of alternatives that set a few values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from llem.study.keys import BACKENDS, Path
from llem.study.merge import lay
from llem.study.nodes import BROKEN
from llem.study.problems import Place


class Spot(NamedTuple):
    """Where something is written, and what it is called."""

    place: Place
    label: str

    def __str__(self) -> str:
        return f"{self.place} ({self.label})"


@dataclass(frozen=True, slots=True)
class Alternative:
    """One value of an axis, or one choice of a group: what it sets and where it is written.

    `absent_for`: backends for which it repeats another choice, because only their own paths would tell them apart.
    `parts`: where each value of a group's entry is written, to tell those of one entry apart.
    """

    values: dict[str, Any]
    place: Place
    label: str
    absent_for: frozenset[str] = frozenset()
    parts: tuple[Spot, ...] = ()

    @property
    def spot(self) -> Spot:
        """Its place and its label."""
        return Spot(self.place, self.label)


@dataclass(frozen=True, slots=True)
class Dimension:
    """An axis or a group; `backend` where all of it belongs to one backend's section."""

    name: str
    place: Place
    alternatives: tuple[Alternative, ...]
    paths: Mapping[Path, Place]
    is_group: bool
    backend: str | None = None


@dataclass(slots=True)
class Sweep:
    """The dimensions of a study's sweep, in the order in which they vary, slowest first."""

    groups: list[Dimension] = field(default_factory=list)
    shared: list[Dimension] = field(default_factory=list)
    scoped: dict[str, list[Dimension]] = field(default_factory=lambda: {backend: [] for backend in BACKENDS})

    def all(self) -> list[Dimension]:
        """Every dimension, slowest first."""
        return [*self.groups, *self.shared, *(dim for dims in self.scoped.values() for dim in dims)]


def nothing(paths: Iterable[Path], place: Place) -> Alternative:
    """What stands where values are wrong and a problem says so: the paths are set, nobody knows to what."""
    values: dict[str, Any] = {}
    for path in paths:
        lay(values, path, BROKEN)
    return Alternative(values, place, "")


def broken(name: str, path: Path, place: Place) -> Dimension:
    """An axis that sets a path to nobody knows what."""
    return Dimension(name, place, (nothing([path], place),), {path: place}, False)
