"""What a study file may say already and the program cannot do yet: one table. A later issue deletes its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from llem.study.plan import Plan
from llem.study.study import Study


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A key at a value that is not built yet."""

    key: str
    value: Any
    message: str


def _other(default: Any) -> Callable[[Any], bool]:
    return lambda value: value != default


# Keys of the study (by attribute) and of experiments (by path) → whether a value is one that is not built yet.
_STUDY: Final[dict[str, Callable[[Any], bool]]] = {
    "execution.parallel": _other("off"),
    "execution.on_complete": _other(None),
}
_EXPERIMENT: Final[dict[str, Callable[[Any], bool]]] = {
    "pytorch.num_processes": _other(1),
}


def unavailable(study: Study, plan: Plan) -> list[Unavailable]:
    """Everything that this study asks for and that is not built yet; empty where it can be run."""
    return [*_of_study(study), *_of_experiments(plan)]


def _of_study(study: Study) -> Iterator[Unavailable]:
    for key, is_later in _STUDY.items():
        section, name = key.split(".")
        value = getattr(getattr(study, section), name)
        if is_later(value):
            yield _answer(key, value)


def _of_experiments(plan: Plan) -> Iterator[Unavailable]:
    for key, is_later in _EXPERIMENT.items():
        for value in plan.distinct_values(key):
            if is_later(value):
                yield _answer(key, value)


def _answer(key: str, value: Any) -> Unavailable:
    shown = str(value).lower() if isinstance(value, bool) else value
    return Unavailable(key, value, f"{key}: {shown} is not available yet")
