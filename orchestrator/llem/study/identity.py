"""Ids: equal for equal experiments however they are written, and unchanged when a key is added to the program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

ID_VERSION: Final = 1
ID_DIGITS: Final = 12

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, whole floats as whole numbers."""
    return _ENCODER.encode(normal(value))


def normal(value: Any) -> Any:
    """A value with whole floats as whole numbers, inside mappings and lists too: 1.0 and 1 are alike."""
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list | tuple):
        return [normal(item) for item in value]
    return value


def short_hash(text: str) -> str:
    """First 12 hex digits of the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def experiment_id(not_default: Mapping[str, Any]) -> str:
    """The id of an experiment, of its nested values that are not defaults."""
    return short_hash(canonical_json({"id_version": ID_VERSION, **not_default}))


def study_design_hash(experiment_ids: Sequence[str]) -> str:
    """The hash of a study's design: its experiments' ids in their order."""
    return short_hash(canonical_json(list(experiment_ids)))
