"""The tree of keys that a file may hold, made from the models: what each takes, its default, its nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter
from pydantic.fields import FieldInfo

from llem.study.problems import nearest
from llem.study.words import alternatives, choices, expected, item_expected
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.engines import BACKEND_SECTIONS

Path = tuple[str, ...]
"""A key's path from the top; written with dots in messages and in `sweep`."""

BACKENDS: Final[tuple[str, ...]] = tuple(BACKEND_SECTIONS)
LATER_BACKENDS: Final = ("tensorrt", "sglang")
"""Backends that are planned: their names are understood, and answered."""

OFF: Final = "off is null"
"""Metadata of a section that `off` (false) switches off."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key whose value is checked as a whole.

    `open` ones take a mapping with any keys; `items` says in words what each item of a list has to be.
    """

    adapter: TypeAdapter[Any]
    expected: str
    default: Any
    choices: tuple[str, ...] = ()
    open: bool = False
    items: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping with known keys; `scalar` is what may stand in its place (a dataset's name)."""

    children: Mapping[str, Key]
    default: Any = None
    scalar: Leaf | None = None
    off: bool = False
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Later:
    """A key that is not there at all yet; it is answered with that, rather than as unknown."""


@dataclass(frozen=True, slots=True)
class Each:
    """A mapping whose keys are free and whose values are all alike."""

    value: Section


Key = Leaf | Section | Later | Each

_SETTINGS = ConfigDict(strict=True, allow_inf_nan=False, validate_default=False)


def section_of(model: type[BaseModel], **extra: Key) -> Section:
    """The keys of a model; `extra` adds keys or stands in for the model's own."""
    children: dict[str, Key] = {name: _key_of(info) for name, info in model.model_fields.items()}
    required = tuple(name for name, info in model.model_fields.items() if info.is_required())
    return Section({**children, **extra}, required=required)


def _key_of(info: FieldInfo) -> Key:
    metadata = tuple(info.metadata)
    members = list(alternatives(info.annotation, metadata))
    models = [member for member, _ in members if isinstance(member, type) and issubclass(member, BaseModel)]
    if not models:
        return _leaf_of(info)
    inner = section_of(models[0])
    others = [member for member, _ in members if member is not type(None) and member not in models]
    scalar = _leaf_of(info, without=models[0]) if others else None
    off = any(OFF in data for _, data in members)
    return Section(inner.children, info.get_default(call_default_factory=True), scalar, off, inner.required)


def _leaf_of(info: FieldInfo, without: type[BaseModel] | None = None) -> Leaf:
    metadata = tuple(info.metadata)
    members = [(member, data) for member, data in alternatives(info.annotation, metadata) if member is not without]
    annotation: Any = info.annotation
    if without is not None:
        (member, data) = next((member, data) for member, data in members if member is not type(None))
        annotation, metadata = Annotated[member, *data], ()
    whole: Any = Annotated[annotation, *metadata] if metadata else annotation
    return Leaf(
        adapter=TypeAdapter(whole, config=_SETTINGS),
        expected=expected(annotation, metadata),
        default=None if info.is_required() else info.get_default(call_default_factory=True),
        choices=choices(annotation),
        open=any(_is_mapping(member) for member, _ in members),
        items=item_expected(annotation),
    )


def _is_mapping(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", annotation) is dict


def _experiment_keys() -> Section:
    later: dict[str, Key] = {name: Later() for name in (*LATER_BACKENDS, "traffic")}
    gpu = Section({"model": Later(), "power_limit_w": Later()})
    return section_of(ExperimentConfig, gpu=gpu, **later)


EXPERIMENT: Final = _experiment_keys()
"""Every key of an experiment."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a dotted path leads: a known key, or (`inside`) a place within a mapping with any keys."""

    key: Key
    inside: bool = False


def find(path: Path, keys: Section = EXPERIMENT) -> Found | None:
    """The key at a path; None where there is none."""
    key: Key = keys
    for depth, name in enumerate(path):
        if isinstance(key, Leaf):
            return Found(key, inside=True) if key.open and depth else None
        if isinstance(key, Later):
            return Found(key)
        if isinstance(key, Each) or name not in key.children:
            return None
        key = key.children[name]
    return Found(key)


def find_dotted(dotted: str) -> Found | None:
    """The key at a dotted path; None where there is none. Between two dots stands a name, though a key may be empty."""
    path = tuple(dotted.split("."))
    return find(path) if all(path) else None


def all_paths(keys: Section = EXPERIMENT, above: Path = ()) -> Iterator[Path]:
    """Paths of all known keys, sections included, outermost first."""
    for name, key in keys.children.items():
        if is_there(key):
            yield (*above, name)
        if isinstance(key, Section):
            yield from all_paths(key, (*above, name))


def is_there(key: Key) -> bool:
    """Whether a key can be used yet: `gpu`, which holds only what is not there yet, cannot."""
    return any(map(is_there, key.children.values())) if isinstance(key, Section) else not isinstance(key, Later)


def suggest(name: str, siblings: Mapping[str, Key], *more: str) -> str | None:
    """The known name nearest to an unknown key: beside it first, else the full path of a key of that name elsewhere."""
    beside = nearest(name, (*(sibling for sibling, key in siblings.items() if is_there(key)), *more))
    if beside:
        return beside
    elsewhere = _paths_by_name()
    near = nearest(name, elsewhere)
    return elsewhere[near] if near else None


def suggest_path(dotted: str) -> str | None:
    """The known dotted path nearest to an unknown one."""
    return nearest(dotted, _dotted_paths()) or suggest(dotted.rsplit(".", 1)[-1], {})


@cache
def _dotted_paths() -> tuple[str, ...]:
    return tuple(".".join(path) for path in all_paths())


@cache
def _paths_by_name() -> dict[str, str]:
    """Last name of a nested key → its dotted path."""
    return {dotted.rsplit(".", 1)[-1]: dotted for dotted in _dotted_paths() if "." in dotted}
