"""What a key takes, in words: annotations and bounds → "a whole number ≥ 1", values → "text 'x'"."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from llem.study.nodes import Node
from llem.study.problems import shown

_OF_TYPE = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a mapping"}


def alternatives(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The members of a (nested) union with the metadata of each; None is one of them where it may be."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        yield from alternatives(inner, (*metadata, *more))
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from alternatives(member, metadata)
    else:
        yield annotation, metadata


def expected(annotation: Any, metadata: tuple[Any, ...]) -> str:
    """What a key of this annotation takes, in words (null, which means "not set", is not told)."""
    parts = [_one(member, data) for member, data in alternatives(annotation, metadata) if member is not type(None)]
    return " or ".join(dict.fromkeys(parts))


def item_expected(annotation: Any) -> str:
    """What each item of a list has to be, in words; empty where the key takes no list."""
    lists = [member for member, _ in alternatives(annotation) if get_origin(member) in (list, tuple)]
    return expected(get_args(lists[0])[0], ()) if lists else ""


def choices(annotation: Any) -> tuple[str, ...]:
    """The texts that a key takes, where they are listed."""
    members = [member for member, _ in alternatives(annotation) if get_origin(member) is Literal]
    return tuple(value for member in members for value in get_args(member) if isinstance(value, str))


def found(node: Node) -> str:
    """What stands in the file instead, in words."""
    value = node.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        word = "true" if value else "false"
        return word if node.written.lower() == word else f"{node.written}, which is {word} to YAML (quote it for text)"
    if isinstance(value, int | float):
        return f"the number {node.written[:40]}"
    if isinstance(value, str):
        return f"text {shown(value)}" if value else "empty text"
    return "a mapping" if node.is_mapping else "a list"


def _one(annotation: Any, metadata: tuple[Any, ...]) -> str:
    origin = get_origin(annotation)
    if origin is Literal:
        values = [value if isinstance(value, str) else str(value).lower() for value in get_args(annotation)]
        return f"one of {', '.join(values)}" if len(values) > 1 else f"'{values[0]}'"
    if origin in (list, tuple):
        return f"a list of {expected(get_args(annotation)[0], ())}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "a mapping"
    bounds = " and ".join(_bounds(metadata))
    return f"{_OF_TYPE[origin or annotation]} {bounds}".strip()


def _bounds(metadata: tuple[Any, ...]) -> Iterator[str]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _bounds(tuple(item.metadata))
        elif isinstance(item, annotated_types.Ge):
            yield f"≥ {item.ge}"
        elif isinstance(item, annotated_types.Gt):
            yield f"> {item.gt}"
        elif isinstance(item, annotated_types.Le):
            yield f"≤ {item.le}"
        elif isinstance(item, annotated_types.Lt):
            yield f"< {item.lt}"
