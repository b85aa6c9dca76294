"""YAML text → a tree of nodes that know their place. Strict: no tags, no duplicate keys, bounded aliases and depth.

Built from the parser's events rather than by PyYAML's composer: that one recurses in C without a limit, forgets
duplicate keys and expands aliases without counting them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

from llem.errors import UsageError
from llem.study.problems import Place, Problems, shown
from llem.study.scalars import BadScalar, plain_scalar
from llem.study.yaml_text import readable_text

try:
    from yaml.cyaml import CParser as _Parser  # type: ignore[attr-defined]
except ImportError:  # PyYAML without libyaml: the same events, ten times slower
    from yaml import Loader as _Parser  # type: ignore[assignment]

MAX_ALIASES = 10_000
MAX_NODES = 1_000_000
MAX_DEPTH = 64
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


class _Broken:
    """The value of a scalar that a problem was already noted for."""

    def __repr__(self) -> str:
        return "BROKEN"


BROKEN: Final = _Broken()


_NO_KEYS: Final[dict[str, Place]] = {}  # shared by all scalars and lists: most of a large file's nodes


class Node:
    """A value and where it is written.

    `value` is a scalar, a list of nodes, a dict of nodes by key (with `key_places`), or BROKEN. `written` is a
    scalar's own text (`yes` for true). `aliases` and `size` count what the fully expanded node holds.
    """

    __slots__ = ("aliases", "key_places", "place", "size", "value", "written")

    def __init__(self, value: Any, place: Place, written: str = "") -> None:
        self.value = value
        self.place = place
        self.written = written
        self.key_places: dict[str, Place] = {} if isinstance(value, dict) else _NO_KEYS
        self.aliases = 0
        self.size = 1

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping."""
        return isinstance(self.value, dict)

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return isinstance(self.value, list)

    def add(self, child: Node) -> None:
        """Count a child's expanded size as part of this node's."""
        self.aliases += child.aliases
        self.size += child.size

    def plain(self) -> Any:
        """The value without places: dicts, lists and scalars (BROKEN inside is kept)."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def node_of(value: Any, file: str) -> Node:
    """A Python value (from flags or the API) as a node; its place is `file` as a whole. Raises UsageError."""
    place = Place(file)
    if isinstance(value, Mapping):
        node = Node({str(key): node_of(item, file) for key, item in value.items()}, place)
        node.key_places = dict.fromkeys(node.value, place)
        return node
    if isinstance(value, list | tuple):
        return Node([node_of(item, file) for item in value], place)
    if not isinstance(value, str | bool | int | float | None) or not _can_be_written(value):
        raise UsageError(f"{file}: {value!r} of type {type(value).__name__} cannot stand in a study")
    return Node(value, place, str(value))


def _can_be_written(value: Any) -> bool:
    """Whether a scalar survives JSON in UTF-8: no lone surrogates, no NaN, no infinity."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not (isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value))


def compose(raw: str | bytes, file: str, problems: Problems) -> Node | None:
    """The document's tree (null where there is none); None where it cannot be read at all, and a problem says why."""
    text = readable_text(raw, file, problems)
    if text is None:
        return None
    try:
        return _Composer(text, file, problems).document()
    except _Refused:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
        problems.add(place, _syntax_message(text, error, place))
        return None
    except yaml.YAMLError as error:
        problems.add(Place(file, 1, 1), f"YAML: {error}")
        return None


def _syntax_message(text: str, error: yaml.MarkedYAMLError, place: Place) -> str:
    lines = text.splitlines()
    line = lines[place.line - 1] if place.line <= len(lines) else ""
    if line[: place.column].strip(" ") == "\t" or line[: place.column].endswith("\t"):
        return "YAML: a tab cannot indent a line: use spaces"
    if error.problem and "nesting depth" in error.problem:
        return TOO_DEEP
    context = f" {error.context}" if error.context else ""
    return f"YAML: {error.problem or 'cannot be read'}{context}"


class _Refused(Exception):
    """The document is not read any further; a problem says why."""


class _Composer:
    def __init__(self, text: str, file: str, problems: Problems) -> None:
        parser: Any = _Parser(text)
        self._next: Callable[[], Any] = parser.get_event
        self._file = file
        self._problems = problems
        self._anchors: dict[str, Node | None] = {}  # None: still open
        self._aliases = 0

    def document(self) -> Node:
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            return Node(None, Place(self._file, 1, 1))
        root = self._node(self._next(), 0)
        self._next()  # the document's end
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            self._problems.add(self._place(after), "a second document begins here: one file is one study")
        return root

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _refuse(self, place: Place, message: str) -> _Refused:
        self._problems.add(place, message)
        return _Refused()

    def _node(self, event: Any, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event.anchor, place)
        if depth > MAX_DEPTH:
            raise self._refuse(place, TOO_DEEP)
        if event.anchor:
            self._anchors[event.anchor] = None
        if event.tag is not None:
            self._problems.add(place, f"the tag {shown(event.tag)} is not used here: write the value without it")
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._list(place, depth)
        else:
            node = self._mapping(place, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _aliased(self, anchor: str | None, place: Place) -> Node:
        if anchor is None or anchor not in self._anchors:
            raise self._refuse(place, f"the alias *{anchor} names no anchor before it")
        target = self._anchors[anchor]
        if target is None:
            raise self._refuse(place, f"the alias *{anchor} stands inside the value that it names")
        # A copy of the head only: the children are shared, their expanded size is counted.
        node = Node(target.value, place, target.written)
        node.key_places = target.key_places
        node.aliases = target.aliases + 1
        node.size = target.size
        return node

    def _grown(self, parent: Node, child: Node) -> None:
        parent.add(child)
        if parent.aliases > MAX_ALIASES:
            raise self._refuse(parent.place, f"more than {MAX_ALIASES} aliases when written out")
        if parent.size > MAX_NODES:
            raise self._refuse(parent.place, f"more than {MAX_NODES} values when written out")

    def _scalar(self, event: Any, place: Place) -> Node:
        if not event.value.isascii() and not _can_be_written(event.value):
            self._problems.add(place, "half of a surrogate pair is no character")
            return Node(BROKEN, place, "")
        if not event.implicit[0]:  # quoted, a block, or tagged
            return Node(event.value if event.tag is None else BROKEN, place, event.value)
        try:
            return Node(plain_scalar(event.value), place, event.value)
        except BadScalar as error:
            self._problems.add(place, str(error))
            return Node(BROKEN, place, event.value)

    def _list(self, place: Place, depth: int) -> Node:
        node = Node([], place)
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            child = self._node(event, depth + 1)
            node.value.append(child)
            self._grown(node, child)
        return node

    def _mapping(self, place: Place, depth: int) -> Node:
        node = Node({}, place)
        own: set[str] = set()
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(self._next(), depth + 1)
            self._grown(node, value)
            if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
                self._merge(node, own, value, key.place)
            else:
                self._member(node, own, key, value)
        return node

    def _member(self, node: Node, own: set[str], key: Node, value: Node) -> None:
        if key.is_mapping or key.is_list:
            self._problems.add(key.place, "a key has to be text")
            return
        if key.written in own:
            self._problems.add(key.place, f"the key {shown(key.written)} is written twice")
            return
        own.add(key.written)
        node.value.pop(key.written, None)  # what `<<` brought gives way, and its place in the order too
        node.value[key.written] = value
        node.key_places[key.written] = key.place

    def _merge(self, node: Node, own: set[str], source: Node, place: Place) -> None:
        if "<<" in own:
            self._problems.add(place, "the key '<<' is written twice: give it a list")
            return
        own.add("<<")
        for mapping in source.value if source.is_list else [source]:
            if not mapping.is_mapping:
                self._problems.add(mapping.place, "'<<' takes a mapping or a list of mappings")
                continue
            for key, value in mapping.value.items():
                if key not in node.value:
                    node.value[key] = value
                    node.key_places[key] = mapping.key_places[key]
