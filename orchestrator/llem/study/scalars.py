"""Plain YAML scalars → null, booleans, numbers, text.

YAML 1.1 as PyYAML reads it, mended where it surprises: `1e-3` is a number; `1:30` and `0755` are text, not numbers to
base 60 and 8; a date is no value of ours.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}
_FALSE = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0o[0-7][0-7_]*|0b[01][01_]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?\Z")
_HAS_POINT_OR_EXPONENT = re.compile(r"[.eE]")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?\Z")
_MAX_DIGITS: Final = 400


class BadScalar(ValueError):
    """A plain scalar that YAML reads as something that no key takes; the message says what and what to do."""


def plain_scalar(text: str) -> str | bool | int | float | None:
    """The value of an unquoted scalar. Raises BadScalar for dates, infinities and numbers beyond all use."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    return _number_or_text(text) if text[0] in "+-.0123456789" else text


def written_as_yaml(value: Any) -> str:
    """A value of mappings, lists and scalars as a YAML file that this room reads back as the same."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """PyYAML's own, but for text that it would leave bare and we would read as a number: `1e-3`."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        style = None if plain_scalar(text) == text else '"'
    except BadScalar:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _number_or_text(text: str) -> str | int | float:
    if _SPECIAL.match(text):
        raise BadScalar(f"{text} is not a number that can be used")
    whole = _INT.match(text)
    if whole or (_HAS_POINT_OR_EXPONENT.search(text) and _FLOAT.match(text)):
        if len(text) > _MAX_DIGITS:
            raise BadScalar(f"a number of {len(text)} digits is too long")
        return int(text.replace("_", ""), 0) if whole else _finite(text)
    if _DATE.match(text):
        raise BadScalar(f"{text} is a date to YAML: put it in quotes if text is meant")
    return text


def _finite(text: str) -> float:
    value = float(text.replace("_", ""))
    if value in (float("inf"), float("-inf")):
        raise BadScalar(f"{text[:40]} is too large a number")
    return value
