"""A result as one flat row: the names of `result.json` joined by dots, with columns that the model alone decides.

- A section is joined by dots (`energy.total_j`); one that is null has all its columns, each null.
- `energy.devices` and `phases` are flattened by index (`energy.devices.0.total_j`).
- Every other list, and every free mapping, is JSON text: a column's type never depends on what a run happened to say.
- A value that may be text or a section (`experiment.dataset`) has both: its own column and the section's.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from llem_runner.contract import ExperimentResult
from llem_runner.contract.events import PHASES

Kind = Literal["bool", "int", "float", "text", "json"]
Scalar = bool | int | float | str | None

_INDEXED = ("energy.devices", "phases")
_KIND_OF_TYPE: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}


@lru_cache(maxsize=32)
def columns(devices: int = 1, phases: int = len(PHASES)) -> Mapping[str, Kind]:
    """Column → kind, in the model's order, for so many devices and phases."""
    slots = {"energy.devices": devices, "phases": phases}
    return types.MappingProxyType(dict(_columns(ExperimentResult, "", slots)))


def flatten(result: ExperimentResult) -> dict[str, Scalar]:
    """The row of a result: every column that it needs, in the model's order; null is None."""
    return flatten_as(result, columns(*sizes([result])))


def flatten_as(result: ExperimentResult, wanted: Mapping[str, Kind]) -> dict[str, Scalar]:
    """The row of a result with exactly the columns `wanted`."""
    found = dict(_cells(result, ""))
    return {name: _cell(found.get(name), kind) for name, kind in wanted.items()}


def sizes(results: list[ExperimentResult]) -> tuple[int, int]:
    """How many slots the devices and the phases of these results need; at least one device and the usual phases."""
    devices = max((len(result.energy.devices) for result in results), default=0)
    phases = max((len(result.phases) for result in results), default=0)
    return max(devices, 1), max(phases, len(PHASES))


def _columns(model: type[BaseModel], prefix: str, slots: Mapping[str, int]) -> Iterator[tuple[str, Kind]]:
    for field, info in model.model_fields.items():
        name = f"{prefix}{field}"
        parts = list(_alternatives(info.annotation))
        if name in _INDEXED:
            (item,) = {part for part in get_args(parts[0]) if part is not Ellipsis}
            for index in range(slots[name]):
                yield from _columns(item, f"{name}.{index}.", slots)
            continue
        scalars = {_kind(part) for part in parts if not _is_model(part)}
        if scalars:
            yield name, _common(scalars)
        for part in parts:
            if _is_model(part):
                yield from _columns(part, f"{name}.", slots)


def _cells(model: BaseModel, prefix: str) -> Iterator[tuple[str, Any]]:
    for field in type(model).model_fields:
        name, value = f"{prefix}{field}", getattr(model, field)
        if isinstance(value, BaseModel):
            yield from _cells(value, f"{name}.")
        elif name in _INDEXED:
            for index, item in enumerate(value):
                yield from _cells(item, f"{name}.{index}.")
        else:
            yield name, value


def _cell(value: Any, kind: Kind) -> Scalar:
    if value is None:
        return None
    if kind == "float":
        return float(value)
    if kind == "json" or (kind == "text" and not isinstance(value, str)):
        return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)
    if kind == "text":
        return str(value)
    scalar: Scalar = value
    return scalar


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, null left out: `Annotated[int, …] | None` is int."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _alternatives(part)
    elif annotation is not type(None):
        yield annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _kind(annotation: Any) -> Kind:
    if get_origin(annotation) is Literal:
        return _common({_KIND_OF_TYPE[type(value)] for value in get_args(annotation)})
    return _KIND_OF_TYPE.get(annotation, "json")


def _common(kinds: set[Kind]) -> Kind:
    """One kind that holds them all."""
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds == {"int", "float"} else "text"
