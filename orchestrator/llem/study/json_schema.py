"""The JSON Schema of the study file, made from the same tree of keys that checks it, so that editors complete it."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import BaseModel

from llem.study.keys import BACKENDS, EXPERIMENT, Each, Key, Later, Leaf, Path, Section, all_paths, find
from llem.study.study_keys import STUDY

PUBLISHED: Final = FilePath(__file__).parent / "data" / "study.schema.json"
"""The schema as it lies in the package, for editors; a test holds it to `study_schema()`."""

_NULL: Final = {"type": "null"}
_NUMBER: Final = {"type": "number"}
_BOUNDS: Final = {"min": _NUMBER, "max": _NUMBER}
_SPAN: Final = {
    "type": "object",
    "properties": {**_BOUNDS, "num": {"type": "integer", "minimum": 2}},
    "required": ["min", "max", "num"],
    "additionalProperties": False,
}
_POWERS: Final = {
    "type": "object",
    "properties": _BOUNDS,
    "required": ["min", "max"],
    "additionalProperties": False,
}
_RANGE: Final = {
    "anyOf": [
        {"$ref": "#/$defs/span"},
        {"type": "object", "properties": {"log": {"$ref": "#/$defs/span"}}, "required": ["log"], "maxProperties": 1},
        {
            "type": "object",
            "properties": {"pow2": {"$ref": "#/$defs/powers"}},
            "required": ["pow2"],
            "maxProperties": 1,
        },
    ]
}


def study_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a study file. What only holds between keys is not in it."""
    experiment = _properties(EXPERIMENT)
    several = {"type": "array", "items": {"enum": list(BACKENDS)}, "minItems": 1}
    entries = {"type": "array", "items": {"$ref": "#/$defs/experiment"}, "minItems": 1}
    nothing = {"type": "object", "maxProperties": 0}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "llem study",
        "description": "What to run: keys of the study, and keys of an experiment that all its experiments share.",
        "type": "object",
        "properties": {
            **{name: {"$ref": _pointer((name,))} for name in experiment},
            "backend": {"anyOf": [{"$ref": _pointer(("backend",))}, several]},
            **_properties(STUDY),
            "sweep": {"anyOf": [{"$ref": "#/$defs/sweep"}, _NULL]},
            "experiments": {"anyOf": [entries, nothing, _NULL]},
        },
        "additionalProperties": False,
        "$defs": {
            "experiment": {"type": "object", "properties": experiment, "additionalProperties": False},
            "sweep": _sweep(),
            "group": {"type": "array", "items": {"type": "object", **_paths()}, "minItems": 1},
            "span": _SPAN,
            "powers": _POWERS,
            "range": _RANGE,
        },
    }


def _properties(section: Section) -> dict[str, Any]:
    # A section that holds nothing yet (`gpu`) is no help to an editor either.
    shown = {name: key for name, key in section.children.items() if not isinstance(key, Later)}
    return {name: _key(key) for name, key in shown.items() if _there(key)}


def _key(key: Key) -> dict[str, Any]:
    if isinstance(key, Leaf):
        return _leaf(key)
    if isinstance(key, Each):
        return {"type": "object", "additionalProperties": _key(key.value)}
    if isinstance(key, Later):
        return {"not": {}}
    mapping = {"type": "object", "properties": _properties(key), "additionalProperties": False}
    other = [_leaf(key.scalar)] if key.scalar else []
    off = [{"const": False}] if key.off else []
    return {"anyOf": [mapping, *other, *off, _NULL]}


_KEYWORDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _standard(schema: Any) -> Any:
    """pydantic's schema with bounds in JSON Schema's words: behind a validator of ours it leaves its own."""
    if isinstance(schema, list):
        return [_standard(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    words = _KEYWORDS | ({"minLength": "minItems"} if schema.get("type") == "array" else {})
    return {words.get(name, name): _standard(value) for name, value in schema.items()}


def _leaf(key: Leaf) -> dict[str, Any]:
    schema = _standard(key.adapter.json_schema())
    options = schema.pop("anyOf", None) or [schema]
    if "off" in key.choices:
        options = [*options, {"const": False}]  # `off` is false to YAML 1.1
    described: dict[str, Any] = {"anyOf": [*(o for o in options if o != _NULL), _NULL]}
    if key.default is not None and not isinstance(key.default, BaseModel):
        described["default"] = key.default
    return described


def _sweep() -> dict[str, Any]:
    return {"type": "object", **_paths(), "additionalProperties": {"$ref": "#/$defs/group"}}


def _paths() -> dict[str, Any]:
    """Dotted paths as keys of `sweep` and of a group's entries: a value, a list of values, or a range."""
    properties: dict[str, Any] = {}
    opened: list[str] = []
    for path in all_paths():
        found = find(path)
        if found is None or not _there(found.key):
            continue
        properties[".".join(path)] = _choices(path, found.key)
        if isinstance(found.key, Leaf) and found.key.open:
            opened.append("\\.".join(path))
    return {"properties": properties, "patternProperties": {f"^({'|'.join(opened)})\\.": {}}}


def _there(key: Key) -> bool:
    return not isinstance(key, Later) and (not isinstance(key, Section) or bool(_properties(key)))


def _choices(path: Path, key: Key) -> dict[str, Any]:
    if isinstance(key, Section) and key.scalar is None:
        return {"type": ["object", "array", "null"]}
    value = {"$ref": _pointer(path)}
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}, {"$ref": "#/$defs/range"}]}


def _pointer(path: Path) -> str:
    return "#/$defs/experiment/properties/" + "/anyOf/0/properties/".join(path)
