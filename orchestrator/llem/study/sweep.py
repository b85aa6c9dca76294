"""`sweep` → dimensions: axes and groups as lists of alternatives, each a few checked values and their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from llem.study.check import LATER, Checker
from llem.study.dimensions import Alternative, Dimension, Spot, Sweep, broken, nothing
from llem.study.keys import BACKENDS, Path, Section, find, find_dotted, is_there, suggest_path
from llem.study.merge import lay, nest
from llem.study.nodes import BROKEN, Node
from llem.study.path_set import PathSet
from llem.study.problems import Place, Problems, nearest, shown
from llem.study.ranges import MAX_VALUES, RANGE_KEYS, looks_like_range, range_values
from llem.study.study_keys import STUDY_KEYS
from llem.study.words import found

MAX_DIMENSIONS = 200
_STUDY_KEY = "{} is a key of the study: those are not swept"
_LISTS = "a list of values is an axis, a list of mappings a group"


def read_sweep(node: Node, problems: Problems) -> Sweep:
    """The dimensions of a `sweep` mapping; problems where it breaks the grammar."""
    reader = _Reader(problems)
    sweep = Sweep()
    for name, member in node.value.items():
        dimension = reader.dimension(name, member, node.key_places[name])
        if dimension is None:
            continue
        if dimension.is_group:
            sweep.groups.append(dimension)
        elif dimension.backend:
            sweep.scoped[dimension.backend].append(dimension)
        else:
            sweep.shared.append(dimension)
    if len(sweep.all()) > MAX_DIMENSIONS:
        problems.add(node.place, f"more than {MAX_DIMENSIONS} axes and groups")
    _no_path_twice(sweep.all(), problems)
    return sweep


def _no_path_twice(dimensions: Iterable[Dimension], problems: Problems) -> None:
    """Two dimensions that set one path (or one above it) contradict each other; the later one is told."""
    taken = PathSet()
    for dimension in sorted(dimensions, key=lambda dim: dim.place):
        for path, place in dimension.paths.items():
            if other := taken.clash(path):
                problems.add(place, f"{'.'.join(path)} is set here and by {shown(other)} in the same sweep")
        for path in dimension.paths:  # the entries of one group may well set the same path
            taken.add(path, dimension.name)


@dataclass(frozen=True, slots=True)
class _Choices:
    """The values that one path of a group's entry takes in turn."""

    path: Path
    values: list[Any]
    place: Place
    spots: list[Spot]


class _Reader:
    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.check = Checker(problems)
        self._alternatives = 0
        self._exhausted = False

    def dimension(self, name: str, node: Node, place: Place) -> Dimension | None:
        """The axis or group of one member of `sweep`; None, and a problem, where it is neither."""
        known = find_dotted(name)
        if node.is_list and any(item.is_mapping for item in node.value) and not (known and not is_there(known.key)):
            if known is None and name not in STUDY_KEYS:
                return self._group(name, node, place)
            self._refuse_group(name, node, place)
            return broken(name, tuple(name.split(".")), place) if known else None
        if node.is_list and not node.value and known is None and name not in STUDY_KEYS:
            self.problems.add(node.place, f"sweep.{name}: the list is empty")
            return None
        return self._axis(name, node, place)

    def path(self, dotted: str, place: Place) -> Path | None:
        """A dotted path that leads to a key of an experiment; None, and a problem, where it leads nowhere."""
        path = tuple(dotted.split("."))
        key = find_dotted(dotted)
        if key is None and path[0] in STUDY_KEYS:
            self.problems.add(place, f"{shown(dotted)}: {_STUDY_KEY.format(path[0])}")
            return None
        if key is None:
            near = suggest_path(dotted) if self.problems.few else None
            self.problems.add(place, f"unknown path {shown(dotted)} in sweep", near)
            return None
        if not is_there(key.key):
            self.problems.add(place, f"{dotted}: {LATER}")
            return None
        return path

    def value(self, node: Node, path: Path) -> Any:
        """The checked value of one node at a path; BROKEN, and a problem, where it is none."""
        key = find(path)
        if key is None:
            return BROKEN
        return self.check.inside(node) if key.inside else self.check.value(node, key.key, path)

    def values(self, node: Node, path: Path) -> list[tuple[Any, Place]]:
        """The checked values of a scalar, a list of values, or a range; the wrong ones are BROKEN."""
        name = ".".join(path)
        if node.is_mapping and not RANGE_KEYS & node.value.keys():
            words = "a value, a list of values, or a range ({min, max, num}, {log: …}, {pow2: …})"
            hint = f"; mappings are swept as entries of a group: [{{{name}: {{…}}}}, …]"
            near = nearest(next(iter(node.value)), RANGE_KEYS) if node.value else None
            self.problems.add(node.place, f"{name}: expected {words}, found {found(node)}{hint}", near)
            return []
        if node.is_list and not _open(path) and any(looks_like_range(item) for item in node.value):
            self._refuse_ranges(name, node)
            return []
        if self._exhausted:
            return []
        if node.is_mapping:
            numbers = range_values(node, name, self.problems)
            items = [Node(number, node.place, str(number)) for number in numbers or ()]
        else:
            items = node.value if node.is_list else [node]
            if not items:
                self.problems.add(node.place, f"{name}: the list is empty")
        if not self._affordable(len(items), node.place):
            return []
        return [(self.value(item, path), item.place) for item in items]

    def _refuse_ranges(self, name: str, node: Node) -> None:
        for item in node.value:
            if looks_like_range(item):
                self.problems.add(item.place, f"{name}: a range stands alone, not in a list")

    def _affordable(self, count: int, place: Place) -> bool:
        """Whether so many more alternatives may be written out; else a problem is noted."""
        if self._alternatives + count > MAX_VALUES:
            self._exhausted = True
            self.problems.add(place, f"the sweep writes out more than {MAX_VALUES} values and combinations")
            return False
        self._alternatives += count
        return True

    def _axis(self, name: str, node: Node, place: Place) -> Dimension | None:
        path = self.path(name, place)
        if path is None:
            return None
        alternatives = tuple(
            Alternative(nest(path, value), value_place, f"sweep.{name}[{index}]")
            for index, (value, value_place) in enumerate(self.values(node, path))
        )
        backend = path[0] if path[0] in BACKENDS else None
        whole = Dimension(name, place, alternatives, {path: place}, False, backend)
        return whole if alternatives else broken(name, path, place)

    def _refuse_group(self, name: str, node: Node, place: Place) -> None:
        """Say why a list with mappings cannot stand under the name of a key."""
        path = tuple(name.split("."))
        if name in STUDY_KEYS:
            self.problems.add(place, f"sweep.{name}: {_STUDY_KEY.format(name)}")
        elif not _open(path) and any(looks_like_range(item) for item in node.value):
            self._refuse_ranges(f"sweep.{name}", node)
        elif not all(item.is_mapping for item in node.value):
            mixed = next(item for item in node.value if item.is_mapping != node.value[0].is_mapping)
            self.problems.add(mixed.place, f"sweep.{name}: values and mappings are mixed: {_LISTS}")
        else:
            hint = "a list of mappings is a group, and a group's name must not be a known key"
            self.problems.add(place, f"sweep.{name}: {hint}; write entries like {{{name}: {{…}}}} under another name")

    def _group(self, name: str, node: Node, place: Place) -> Dimension | None:
        alternatives: list[Alternative] = []
        paths: dict[Path, Place] = {}
        for index, entry in enumerate(node.value):
            if not entry.is_mapping:
                if entry.value is not BROKEN:
                    message = f"sweep.{name}: expected a mapping like the other entries, found {found(entry)}: {_LISTS}"
                    self.problems.add(entry.place, message)
                continue
            choices = self._entry(entry, f"sweep.{name}[{index}]")
            for choice in choices:
                paths.setdefault(choice.path, choice.place)
            alternatives.extend(self._grid(choices, entry, f"sweep.{name}[{index}]"))
        return Dimension(name, place, tuple(alternatives), paths, True) if alternatives else None

    def _entry(self, entry: Node, label: str) -> list[_Choices]:
        choices: list[_Choices] = []
        self._collect(entry, (), choices, label)
        taken = PathSet()
        for choice in choices:
            if taken.clash(choice.path):
                self.problems.add(choice.place, f"{'.'.join(choice.path)} is set twice in one entry")
            taken.add(choice.path, "the entry")
        return choices

    def _collect(self, node: Node, above: Path, choices: list[_Choices], label: str) -> None:
        for name, member in node.value.items():
            place = node.key_places[name]
            path = self._nested(name, place, above) if above else self.path(name, place)
            if path is None:
                continue
            key = find(path)
            if member.is_mapping and key and isinstance(key.key, Section):
                self._collect(member, path, choices, label)
            elif member.is_mapping and not (key and key.inside and looks_like_range(member)) and _open(path):
                choices.append(_Choices(path, [self.value(member, path)], place, [Spot(place, label)]))
            else:
                checked = self.values(member, path) or [(BROKEN, place)]
                dotted = ".".join(path)
                spots = [Spot(spot, f"{label}.{dotted}[{index}]") for index, (_, spot) in enumerate(checked)]
                choices.append(_Choices(path, [value for value, _ in checked], place, spots))

    def _nested(self, name: str, place: Place, above: Path) -> Path | None:
        key = find(above)
        if key is None or not isinstance(key.key, Section):
            return None
        return (*above, name) if self.check.known(name, key.key, above, place) else None

    def _grid(self, choices: list[_Choices], entry: Node, label: str) -> list[Alternative]:
        if not self._affordable(prod(len(choice.values) for choice in choices), entry.place):
            return [nothing([choice.path for choice in choices], entry.place)]
        alternatives = []
        for digits in product(*(range(len(choice.values)) for choice in choices)):
            values: dict[str, Any] = {}
            for choice, digit in zip(choices, digits, strict=True):
                lay(values, choice.path, choice.values[digit])
            absent = frozenset(b for b in BACKENDS if _repeats(b, choices, digits))
            parts = tuple(choice.spots[digit] for choice, digit in zip(choices, digits, strict=True))
            alternatives.append(Alternative(values, entry.place, label, absent, parts))
        return alternatives


def _open(path: Path) -> bool:
    key = find(path)
    return key is not None and (key.inside or getattr(key.key, "open", False))


def _repeats(backend: str, choices: list[_Choices], digits: tuple[int, ...]) -> bool:
    """Whether a combination differs, for a backend, from an earlier one only by other backends' paths."""
    pairs = zip(choices, digits, strict=True)
    return any(digit and choice.path[0] in BACKENDS and choice.path[0] != backend for choice, digit in pairs)
