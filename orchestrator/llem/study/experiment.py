"""One experiment as written (nested values, defaults among them) → what it is: not-default values, or all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from llem.study.keys import BACKENDS, EXPERIMENT, Leaf, Section
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.sections import resolve_preset

_Table = dict[str, tuple[Any, "_Table | None"]]


def _table(section: Section) -> _Table:
    table: _Table = {}
    for name, key in section.children.items():
        if isinstance(key, Leaf):
            table[name] = (key.default, None)
        elif isinstance(key, Section):
            table[name] = (key.scalar.default if key.scalar else None, _table(key))
    return table


_KEYS: Final = _table(EXPERIMENT)
_SHORTHAND: Final = "preset"  # resolved into the other decoder keys


SYNTHETIC_SETS: Final = ("output_length", "max_input_tokens", "max_output_tokens")
"""Keys that a synthetic dataset decides."""


def settled(values: Mapping[str, Any], backend: str) -> dict[str, Any]:
    """The written values that count: other backends' sections dropped, shorthand resolved.

    Shorthand is the decoder's preset, and a synthetic dataset: its prompts have `input_len` tokens and its answers
    `output_len`, so that `output_length` is fixed and these are the limits, whoever writes them out or leaves them.
    Resolved here, it is the same experiment with the same id, and the plan shows what will hold. A limit that
    contradicts the dataset stays as it is written, for the skip rule that names it.
    """
    counted = {name: value for name, value in values.items() if name not in BACKENDS or name == backend}
    counted["backend"] = backend
    decoder = counted.get("decoder")
    if decoder and decoder.get("preset") is not None:
        counted["decoder"] = resolve_preset({key: value for key, value in decoder.items() if value is not None})
    dataset = counted.get("dataset")
    if isinstance(dataset, dict):
        _resolve_synthetic(counted, dataset.get("input_len"), dataset.get("output_len"))
    return counted


def _resolve_synthetic(counted: dict[str, Any], input_len: int | None, output_len: int | None) -> None:
    if input_len is None or output_len is None:
        return
    counted["output_length"] = "fixed"
    most, exactly = counted.get("max_input_tokens"), counted.get("max_output_tokens")
    if most is None or most >= input_len:
        counted["max_input_tokens"] = input_len
    if exactly is None:
        counted["max_output_tokens"] = output_len


def not_default(settled_values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are no defaults, nested; empty sections left out. This is what an id is made of."""
    return _pruned(settled_values, _KEYS)


def _pruned(values: Mapping[str, Any], table: _Table) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        default, inner = table[name]
        if isinstance(value, dict):
            if inner is not None:
                value = _pruned(value, inner)
            if value:
                kept[name] = value
        elif value != default:
            kept[name] = value
    return kept


def with_defaults(kept: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment whole: defaults filled in, its own backend's section only, no preset."""
    backend = kept.get("backend", _KEYS["backend"][0])
    sections: dict[str, Any] = {backend: {}}
    whole = _filled({**sections, **kept}, EXPERIMENT)
    return {name: whole[name] for name in ExperimentConfig.model_fields if name not in BACKENDS or name == backend}


def _filled(kept: Mapping[str, Any], section: Section) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for name, key in section.children.items():
        value = kept.get(name)
        if isinstance(key, Section):
            if isinstance(value, dict) or (value is None and isinstance(key.default, BaseModel)):
                whole[name] = _filled(value or {}, key)
            else:
                whole[name] = key.default if value is None else value
        elif isinstance(key, Leaf) and name != _SHORTHAND:
            whole[name] = key.default if value is None else value
    return whole
