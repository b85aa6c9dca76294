"""Nodes of a file → checked plain values. Every value is checked once, where it is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from llem.study.identity import normal
from llem.study.keys import LATER_BACKENDS, Each, Key, Later, Leaf, Path, Section, find, suggest
from llem.study.model_source import BUILTIN_MODELS, BUILTIN_PREFIX
from llem.study.nodes import BROKEN, Node
from llem.study.problems import Place, Problems, nearest, shown
from llem.study.words import found

LATER = "not available yet"


@dataclass(slots=True)
class Written:
    """Checked values as they are written: nested, None for "not set"; and the place of every key.

    Of an experiment's keys the wrong ones are there too, as BROKEN: so that nobody calls them missing.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)


class Checker:
    """Checks nodes against keys. `complete` sections must have their required keys where they are written."""

    def __init__(self, problems: Problems, *, complete: bool = False) -> None:
        self.problems = problems
        self._complete = complete

    def mapping(
        self, node: Node, section: Section, path: Path = (), *, skip: Collection[str] = (), also: Collection[str] = ()
    ) -> Written:
        """Check a mapping's members. `skip` are keys that others check, `also` names beside them for suggestions."""
        written = Written()
        for name, member in node.value.items():
            if name in skip:
                continue
            place = node.key_places[name]
            key = self.known(name, section, path, place, also)
            if key is None:
                continue
            value = self.value(member, key, (*path, name), written.places)
            if value is not BROKEN or not self._complete:
                written.values[name] = value
                written.places[(*path, name)] = place
        return written

    def known(
        self, name: str, section: Section, path: Path, place: Place, also: Collection[str] = ()
    ) -> Leaf | Section | Each | None:
        """The key of that name in a section; None, and a problem, where it is unknown or not there yet."""
        key = section.children.get(name)
        dotted = ".".join((*path, name))
        if key is None:
            if find((*path, *name.split("."))) is not None:
                self.problems.add(
                    place, f"unknown key {shown(name)}: dotted paths are for sweep only, nest the keys here"
                )
                return None
            where = f" in {'.'.join(path)}" if path else ""
            near = suggest(name, section.children, *also) if self.problems.few else None
            self.problems.add(place, f"unknown key {shown(name)}{where}", near)
            return None
        if isinstance(key, Later):
            self.problems.add(place, f"{dotted}: {LATER}")
            return None
        return key

    def value(self, node: Node, key: Key, path: Path, places: dict[Path, Place] | None = None) -> Any:
        """The checked value of one key; BROKEN where a problem was noted. Places of what is inside go to `places`."""
        if node.value is BROKEN:
            return BROKEN
        if node.value is None:
            return None
        if isinstance(key, Leaf):
            return self._leaf(node, key, path)
        if isinstance(key, Section):
            return self._section(node, key, path, places)
        if isinstance(key, Each):
            return self._each(node, key, path)
        self.problems.add(node.place, f"{'.'.join(path)}: {LATER}")
        return BROKEN

    def inside(self, node: Node) -> Any:
        """The value of a key inside a mapping with any keys: anything that JSON can hold, just as it is written."""
        plain = node.plain()
        return BROKEN if _holds_broken(plain) else plain

    def expect_mapping(self, node: Node, name: str) -> bool:
        """Whether a node is a mapping; else a problem is noted."""
        if not node.is_mapping and node.value is not BROKEN:
            self.problems.add(node.place, f"{name}: expected a mapping, found {found(node)}")
        return node.is_mapping

    def _section(self, node: Node, key: Section, path: Path, places: dict[Path, Place] | None) -> Any:
        if key.off and (node.value is False or node.value == "off"):  # to an editor of YAML 1.2 `off` is text
            return None
        if not node.is_mapping:
            if key.scalar is not None and not node.is_list:
                return self._leaf(node, key.scalar, path)
            words = f"{key.scalar.expected} or a mapping" if key.scalar else "a mapping"
            self.problems.add(node.place, f"{'.'.join(path)}: expected {words}, found {found(node)}")
            return BROKEN
        written = self.mapping(node, key, path)
        if places is not None:
            places.update(written.places)
        missing = [name for name in key.required if name not in node.value or node.value[name].value is None]
        if self._complete and missing:
            self.problems.add(node.place, f"{'.'.join(path)}: {', '.join(missing)} is missing")
        return written.values

    def _each(self, node: Node, key: Each, path: Path) -> Any:
        if not self.expect_mapping(node, ".".join(path)):
            return BROKEN
        members = {name: self.value(member, key.value, (*path, name)) for name, member in node.value.items()}
        return {name: value for name, value in members.items() if value is not BROKEN}

    def _leaf(self, node: Node, key: Leaf, path: Path) -> Any:
        plain = node.plain()
        if _holds_broken(plain):
            return BROKEN
        try:
            value = key.adapter.validate_python(plain)
        except ValidationError as error:
            self._refuse(node, key, path, error)
            return BROKEN
        if path == ("model",) and value.startswith(BUILTIN_PREFIX) and value not in BUILTIN_MODELS:
            message = f"model: {shown(value)} is none of {', '.join(BUILTIN_MODELS)}"
            self.problems.add(node.place, message, nearest(value, BUILTIN_MODELS))
            return BROKEN
        # What an engine gets stays as it is written: 2.0 is no index. Ours are typed, and compared as 1 and 1.0.
        return value if key.open else normal(value)

    def _refuse(self, node: Node, key: Leaf, path: Path, error: ValidationError) -> None:
        name = ".".join(path)
        if path == ("backend",) and node.value in LATER_BACKENDS:
            self.problems.add(node.place, f"backend {node.value}: {LATER}")
            return
        if node.is_list and key.items:
            self._refuse_items(node, key.items, name, error)
            return
        first = error.errors(include_url=False)[0]
        if isinstance(node.value, str) and first["type"] == "value_error":
            self.problems.add(node.place, f"{name}: {shown(node.value)} {first['ctx']['error']}")
            return
        suggestion = nearest(node.value, key.choices) if isinstance(node.value, str) else None
        self.problems.add(node.place, f"{name}: expected {key.expected}, found {found(node)}", suggestion)

    def _refuse_items(self, node: Node, expected: str, name: str, error: ValidationError) -> None:
        if not node.value:
            self.problems.add(node.place, f"{name}: the list is empty")
        wrong = dict.fromkeys(each["loc"][0] for each in error.errors(include_url=False) if each["loc"])
        for index in wrong:
            item = node.value[index]
            self.problems.add(item.place, f"{name}[{index}]: expected {expected}, found {found(item)}")


def _holds_broken(plain: Any) -> bool:
    if isinstance(plain, dict):
        return any(_holds_broken(item) for item in plain.values())
    if isinstance(plain, list):
        return any(_holds_broken(item) for item in plain)
    return plain is BROKEN
