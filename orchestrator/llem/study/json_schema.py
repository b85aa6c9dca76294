"""The JSON Schema of the study file, made from the same tree of keys that checks it, so that editors complete it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path as FilePath
from typing import Any, Final

from pydantic import BaseModel

from llem.study.keys import BACKENDS, EXPERIMENT, Each, Key, Later, Leaf, Path, Section, all_paths, find, is_there
from llem.study.model_source import BUILTIN_MODELS, BUILTIN_PREFIX
from llem.study.study_keys import STUDY, STUDY_KEYS
from llem_runner.contract.sections import SyntheticDataset

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


_MODEL: Final = {
    "anyOf": [
        {"enum": list(BUILTIN_MODELS)},
        {"type": "string", "pattern": "\\S", "not": {"pattern": f"^{BUILTIN_PREFIX}"}},
        _NULL,
    ]
}
_LENGTHS: Final = tuple(SyntheticDataset.model_fields)
_WHOLE: Final = {
    "anyOf": [
        *({"required": [name]} for name in ("base", "sweep", "experiments")),
        {
            "required": ["model"],
            "properties": {
                "model": {"not": _NULL},
                "dataset": {"anyOf": [{"not": {"type": "object", "minProperties": 1}}, {"required": list(_LENGTHS)}]},
            },
        },
    ]
}
"""What a file needs that gets nothing from a base, a sweep or entries."""


def study_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) of a study file. What only holds between keys is not in it."""
    experiment = _properties(EXPERIMENT, complete=False) | {"model": _MODEL}
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
            **_properties(STUDY, complete=True),
            "sweep": {"anyOf": [{"$ref": "#/$defs/sweep"}, _NULL]},
            "experiments": {"anyOf": [entries, nothing, _NULL]},
        },
        "additionalProperties": False,
        **_WHOLE,
        "$defs": {
            "experiment": {"type": "object", "properties": experiment, "additionalProperties": False},
            "choices": _mapping({name: _choices((name,)) for name in experiment}),
            "sweep": _sweep(),
            "group": {"type": "array", "items": _entry(), "minItems": 1},
            "span": _SPAN,
            "powers": _POWERS,
            "range": _RANGE,
        },
    }


def _properties(section: Section, *, complete: bool) -> dict[str, Any]:
    # A section that holds nothing yet (`gpu`) is no help to an editor either.
    return {name: _key(key, complete=complete) for name, key in section.children.items() if is_there(key)}


def _key(key: Key, *, complete: bool) -> dict[str, Any]:
    """A key's schema; `complete` sections have to hold their required keys where they are written."""
    if isinstance(key, Leaf):
        return _leaf(key)
    if isinstance(key, Each):
        return {"type": "object", "additionalProperties": _key(key.value, complete=complete)}
    if isinstance(key, Later):
        return {"not": {}}
    mapping = _mapping(_properties(key, complete=complete))
    if complete and key.required:
        mapping |= {"required": list(key.required), "not": _any_null(key.required)}
    other = [_leaf(key.scalar)] if key.scalar else []
    off = [{"enum": [False, "off"]}] if key.off else []
    return {"anyOf": [mapping, *other, *off, _NULL]}


def _mapping(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _any_null(names: Iterable[str]) -> dict[str, Any]:
    return {"anyOf": [{"required": [name], "properties": {name: _NULL}} for name in names]}


_KEYWORDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def _standard(schema: Any) -> Any:
    """pydantic's schema in JSON Schema's words: behind a validator of ours it leaves its own. Text is never blank."""
    if isinstance(schema, list):
        return [_standard(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    words = _KEYWORDS | ({"minLength": "minItems"} if schema.get("type") == "array" else {})
    standard = {words.get(name, name): _standard(value) for name, value in schema.items()}
    text = standard.get("type") == "string" and not {"enum", "const", "pattern"} & standard.keys()
    return standard | ({"pattern": "\\S"} if text else {})


def _leaf(key: Leaf) -> dict[str, Any]:
    described: dict[str, Any] = {"anyOf": [*_options(key), _NULL]}
    if key.default is not None and not isinstance(key.default, BaseModel):
        described["default"] = key.default
    return described


def _options(key: Leaf) -> list[dict[str, Any]]:
    schema = _standard(key.adapter.json_schema())
    options: list[dict[str, Any]] = schema.get("anyOf") or [schema]
    if "off" in key.choices:
        options = [*options, {"const": False}]  # `off` is false to YAML 1.1
    return [{name: value for name, value in o.items() if name != "default"} for o in options if o != _NULL]


def _sweep() -> dict[str, Any]:
    """Axes by their dotted paths; anything else that is no key of the study is a group."""
    axes = {".".join(path): _axis(path) for path in all_paths()}
    inside = _several({"not": {"type": ["object", "array"]}}, {"not": {"type": "object"}}, ranges=True)
    return {
        "type": "object",
        "properties": {**axes, **dict.fromkeys(STUDY_KEYS, False)},
        "patternProperties": {_inside_pattern(): inside},
        "additionalProperties": {"$ref": "#/$defs/group"},
    }


def _entry() -> dict[str, Any]:
    """An entry of a group: dotted paths or nested keys, each with a value, a list of values, or a range."""
    paths = {".".join(path): {"$ref": _pointer(path, "choices")} for path in all_paths()}
    return {**_mapping(paths), "patternProperties": {_inside_pattern(): {}}}


def _inside_pattern() -> str:
    """Dotted paths into the mappings that take any keys."""
    keys = {path: found.key for path in all_paths() if (found := find(path))}
    opened = ["\\.".join(path) for path, key in keys.items() if isinstance(key, Leaf) and key.open]
    return f"^({'|'.join(opened)})(\\.[^.]+)+$"


def _axis(path: Path) -> dict[str, Any]:
    """What may stand for a path in `sweep` itself: no mappings, which would be groups."""
    key = _at(path)
    leaf = key.scalar if isinstance(key, Section) else key
    if isinstance(key, Leaf) and not key.open:
        value: dict[str, Any] = {"$ref": _pointer(path)}
    else:
        options = _options(leaf) if isinstance(leaf, Leaf) else []
        value = {"anyOf": [*(option for option in options if option.get("type") != "object"), _NULL]}
    return _several(value, value, ranges=_is_number(key))


def _choices(path: Path) -> dict[str, Any]:
    """What may stand for a path in an entry of a group."""
    key, value = _at(path), {"$ref": _pointer(path)}
    if not isinstance(key, Section):
        return _several(value, value, ranges=_is_number(key))
    nested = _mapping({name: _choices((*path, name)) for name, child in key.children.items() if is_there(child)})
    scalar = [_leaf(key.scalar)] if key.scalar else []
    return {"anyOf": [nested, *scalar, _list(value), _NULL]}


def _several(value: dict[str, Any], item: dict[str, Any], *, ranges: bool) -> dict[str, Any]:
    return {"anyOf": [value, _list(item), *([{"$ref": "#/$defs/range"}] if ranges else [])]}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


def _is_number(key: Key) -> bool:
    options = _options(key) if isinstance(key, Leaf) else []
    return any(option.get("type") in ("integer", "number") for option in options)


def _at(path: Path) -> Key:
    found = find(path)
    if found is None:
        raise KeyError(".".join(path))
    return found.key


def _pointer(path: Path, among: str = "experiment") -> str:
    return f"#/$defs/{among}/properties/" + "/anyOf/0/properties/".join(path)
