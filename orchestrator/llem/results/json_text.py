"""JSON from a stranger: bounded in depth, with finite numbers and encodable text only."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 64
_INT64 = 2**63
_LARGEST = 1e100
"""Beyond any quantity, and its square still is a number: statistics must not overflow on a stranger's joke."""


class NotJson(ValueError):
    """Why the bytes are not usable."""


def parse_json(content: bytes) -> Any:
    """The value of UTF-8 JSON text. Raises NotJson for torn text, NaN, infinity, absurd numbers, deep nesting."""
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise NotJson("nested too deeply") from error
    except ValueError as error:
        raise NotJson(f"not JSON, perhaps torn ({error})") from error
    _check(value)
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if abs(number) > _LARGEST:
        raise ValueError(f"{text[:20]} is too large")
    return number


def _check(value: Any) -> None:
    """What JSON allows but our files and tables cannot hold."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.keys()
                inner += item.values()
            elif isinstance(item, list):
                inner += item
            elif isinstance(item, str):
                _check_text(item)
            elif isinstance(item, int) and not -_INT64 <= item < _INT64:
                raise NotJson("an integer does not fit into 64 bits")
        if not inner:
            return
        level = inner
    raise NotJson("nested too deeply")


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotJson("text holds half of a surrogate pair") from error
