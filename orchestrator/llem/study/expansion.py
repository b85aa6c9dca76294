"""Blocks of experiments and the walk through them: lazy, in the order of variation, each found again by its ordinal."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

from llem.study.dimensions import Alternative, Dimension, Spot
from llem.study.experiment import settled
from llem.study.keys import BACKENDS, Path
from llem.study.merge import deep_merge, value_at
from llem.study.problems import Place
from llem.study.rules import default_at

Choices = Sequence[tuple[int, Alternative]]
"""What one dimension offers: (digit, alternative)."""


@dataclass(frozen=True, eq=False)
class Block:
    """A set of experiments over the same written values: one backend's part of the sweep, or one explicit entry.

    `backends` are those that it may run: one, or several where a group or an axis sets the backend.
    """

    values: Mapping[str, Any]
    places: Mapping[Path, Place]
    spot: Spot
    backends: tuple[str, ...]
    shared: tuple[Dimension, ...] = ()
    scoped: Mapping[str, tuple[Dimension, ...]] | None = None
    is_entry: bool = False

    @cached_property
    def radix(self) -> int:
        """Size of the block's range of ordinals; not all of them stand for an experiment."""
        return self._shared_radix * self._scoped_radix

    @cached_property
    def _shared_radix(self) -> int:
        return prod(len(dimension.alternatives) for dimension in self.shared)

    @cached_property
    def _scoped_radix(self) -> int:
        return max(prod(len(d.alternatives) for d in self.dimensions_of(backend)) for backend in self.backends)

    @property
    def at_most(self) -> int:
        """An upper bound of the number of experiments; exact where the backend is fixed."""
        return self._count_of_shared * self._scoped_radix

    @cached_property
    def _count_of_shared(self) -> int:
        return prod(len(choices) for choices in self._shared_choices)

    def dimensions_of(self, backend: str) -> tuple[Dimension, ...]:
        """The axes of one backend's section."""
        return self.scoped.get(backend, ()) if self.scoped else ()

    @cached_property
    def _shared_choices(self) -> list[Choices]:
        return [self._offered(dimension) for dimension in self.shared]

    def _offered(self, dimension: Dimension) -> Choices:
        # An alternative that only repeats another for every backend of this block is no experiment of its own.
        alternatives = enumerate(dimension.alternatives)
        return [(i, a) for i, a in alternatives if not a.absent_for.issuperset(self.backends)]

    @cached_property
    def _scoped_choices(self) -> dict[str, list[Choices]]:
        return {b: [list(enumerate(d.alternatives)) for d in self.dimensions_of(b)] for b in self.backends}

    def walk(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """(ordinal within the block, backend, written values) of every experiment, first written slowest."""
        several = len(self.backends) > 1
        for index, values in _products(dict(self.values), self._shared_choices, self.shared, 0):
            backend = self._backend_of(values)
            if several and self._absent(index, backend):
                continue
            choices = self._scoped_choices[backend]
            if not choices:
                yield index * self._scoped_radix, backend, values
                continue
            for inner, whole in _products(values, choices, self.dimensions_of(backend), 0):
                yield index * self._scoped_radix + inner, backend, whole

    def at(self, ordinal: int) -> tuple[str, dict[str, Any]]:
        """Backend and written values of one ordinal."""
        values = dict(self.values)
        for _, alternative in self.chosen(ordinal):
            values = deep_merge(values, alternative.values)
        return self._backend_of(values), values

    def chosen(self, ordinal: int) -> list[tuple[Dimension, Alternative]]:
        """What each dimension contributes to one ordinal, slowest first."""
        index, inner = divmod(ordinal, self._scoped_radix)
        chosen = _decode(index, self.shared)
        values: Mapping[str, Any] = self.values
        for _, alternative in chosen:
            values = deep_merge(values, alternative.values)
        return [*chosen, *_decode(inner, self.dimensions_of(self._backend_of(values)))]

    def over(self, path: Path) -> Iterator[tuple[Mapping[str, Any], Place]]:
        """Values of the block's experiments that matter to one path, and where it is set for each.

        Dimensions that do not touch the path are left out: it is looked at once, however many there are.
        """
        touching = [dimension for dimension in self.shared if any(_touch(path, other) for other in dimension.paths)]
        own = self.places.get(path, self.spot.place)
        for chosen in product(*(self._offered(dimension) for dimension in touching)):
            values: Mapping[str, Any] = self.values
            for _, alternative in chosen:
                values = deep_merge(values, alternative.values)
            yield values, chosen[-1][1].place if chosen else own

    def varying_paths(self, backend: str) -> set[Path]:
        """Paths that the dimensions of this block set for a backend."""
        return {path for d in (*self.shared, *self.dimensions_of(backend)) for path in d.paths}

    def possible_values(self, path: Path) -> Iterator[Any]:
        """Every value that may be written for the block's experiments at a path (defaults filled in)."""
        if path[0] in BACKENDS and path[0] not in self.backends:
            return
        if path == ("backend",):
            yield from self.backends
            return
        written = value_at(self.values, path)
        dimensions = (*self.shared, *(d for b in self.backends for d in self.dimensions_of(b)))
        setting = [d for d in dimensions if any(_touch(path, other) for other in d.paths)]
        for dimension in setting:
            for alternative in dimension.alternatives:
                value = value_at(deep_merge(self.values, alternative.values), path)
                yield default_at(path) if value is None else value
        if not setting:
            yield default_at(path) if written is None else written

    def _backend_of(self, values: Mapping[str, Any]) -> str:
        backend: str = values.get("backend") or default_at(("backend",))
        return backend

    def _absent(self, index: int, backend: str) -> bool:
        return any(backend in alternative.absent_for for _, alternative in _decode(index, self.shared))


def _touch(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _products(
    values: dict[str, Any], choices: Sequence[Choices], dimensions: Sequence[Dimension], index: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    if not choices:
        yield index, values
        return
    index *= len(dimensions[0].alternatives)
    if len(choices) == 1:
        for digit, alternative in choices[0]:
            yield index + digit, deep_merge(values, alternative.values)
        return
    for digit, alternative in choices[0]:
        yield from _products(deep_merge(values, alternative.values), choices[1:], dimensions[1:], index + digit)


def _decode(index: int, dimensions: Sequence[Dimension]) -> list[tuple[Dimension, Alternative]]:
    chosen = []
    for dimension in reversed(dimensions):
        index, digit = divmod(index, len(dimension.alternatives))
        chosen.append((dimension, dimension.alternatives[digit]))
    return chosen[::-1]


def _told_apart(one: Alternative, other: Alternative) -> tuple[Spot, Spot]:
    """Two choices of one dimension: their entries, or, of one entry, the first values that differ."""
    if one.spot == other.spot:
        return next((a, b) for a, b in zip(one.parts, other.parts, strict=True) if a != b)
    return one.spot, other.spot


def _whole_place(block: Block, chosen: Sequence[Alternative]) -> str:
    """An entry's place; of an experiment of the sweep all its choices."""
    return _and(alternative.spot for alternative in chosen) if chosen else str(block.spot)


def _and(spots: Iterable[Spot]) -> str:
    return " with ".join(map(str, spots))


@dataclass(frozen=True, eq=False)
class Expansion:
    """All blocks of a study, in order; an experiment is known by one whole number over all of them."""

    blocks: tuple[Block, ...]
    swept_paths: tuple[Path, ...] = ()
    """Paths that the study's sweep and entries set, in the order in which they vary."""

    @cached_property
    def _offsets(self) -> list[int]:
        offsets = [0]
        for block in self.blocks:
            offsets.append(offsets[-1] + block.radix)
        return offsets

    def walk(self) -> Iterator[tuple[int, Block, str, dict[str, Any]]]:
        """(ordinal, block, backend, settled values) of every declared experiment, in order."""
        for offset, block in zip(self._offsets, self.blocks, strict=False):
            for ordinal, backend, values in block.walk():
                yield offset + ordinal, block, backend, settled(values, backend)

    def block_of(self, ordinal: int) -> tuple[Block, int]:
        """The block of an ordinal, and the ordinal within it."""
        index = bisect_right(self._offsets, ordinal) - 1
        return self.blocks[index], ordinal - self._offsets[index]

    def at(self, ordinal: int) -> tuple[str, dict[str, Any]]:
        """Backend and settled values of one experiment."""
        backend, values = self.written_at(ordinal)
        return backend, settled(values, backend)

    def written_at(self, ordinal: int) -> tuple[str, dict[str, Any]]:
        """Backend and values of one experiment as they are written."""
        block, inner = self.block_of(ordinal)
        backend, values = block.at(inner)
        return backend, {**values, "backend": backend}

    def two_places(self, first: int, again: int) -> tuple[str, str]:
        """Where two identical experiments are written, in words: the first choices in which they differ."""
        (block, one), (other_block, two) = self.block_of(first), self.block_of(again)
        left, right = ([choice for _, choice in b.chosen(inner)] for b, inner in ((block, one), (other_block, two)))
        if block.is_entry or other_block.is_entry:
            return _whole_place(block, left), _whole_place(other_block, right)
        spots = next((_told_apart(a, b) for a, b in zip(left, right, strict=False) if a is not b), ())
        pairs = [spots] if spots else []
        if block is not other_block:
            pairs.insert(0, (block.spot, other_block.spot))
        return _and(pair[0] for pair in pairs), _and(pair[1] for pair in pairs)

    def varying(self) -> tuple[Path, ...]:
        """Paths at which the study's experiments differ, in the order in which they vary."""
        return tuple(path for path in self.swept_paths if self._varies(path))

    def _varies(self, path: Path) -> bool:
        values: list[Any] = []
        for block in self.blocks:
            for value in block.possible_values(path):
                if value not in values:
                    values.append(value)
                if len(values) > 1:
                    return True
        return False
