"""Deep merge of checked values: mappings merge, anything else replaces. Associative; nothing is changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MISSING = object()


class Replacing(dict[str, Any]):
    """A mapping that replaced a scalar (or null) under it, so that it replaces what lies under that as well.

    Without the mark `a + (b + c)` would merge the mappings of a and c that `(a + b) + c` keeps apart.
    """


def deep_merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid upon `under`, as a new dict; parts that neither changes are shared."""
    merged: dict[str, Any] = Replacing(under) if type(under) is Replacing else dict(under)
    for key, value in over.items():
        if type(value) is dict:
            below = merged.get(key, _MISSING)
            if isinstance(below, dict):
                value = deep_merge(below, value)
            elif below is not _MISSING:
                value = Replacing(value)
        merged[key] = value
    return merged


def nest(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A value at a path, as nested dicts."""
    for name in reversed(path[1:]):
        value = {name: value}
    return {path[0]: value}


def lay(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value at a path of nested dicts, in place; what lies at or above the path gives way."""
    for name in path[:-1]:
        below = tree.get(name)
        if not isinstance(below, dict):
            below = tree[name] = {}
        tree = below
    tree[path[-1]] = value


def value_at(values: Mapping[str, Any], path: tuple[str, ...], default: Any = None) -> Any:
    """The value at a path of nested dicts, or the default where there is none."""
    found: Any = values
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return default
        found = found[name]
    return found
