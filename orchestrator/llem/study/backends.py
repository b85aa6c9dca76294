"""Which backends a study runs, and in what order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llem.study.check import Checker
from llem.study.dimensions import Dimension, Sweep
from llem.study.keys import EXPERIMENT
from llem.study.nodes import BROKEN, Node
from llem.study.problems import Place, Problems
from llem.study.rules import default_at

Backends = tuple[str, ...] | None
"""The shared `backend`: one or several, None where it is not set."""


def read_backends(node: Node, problems: Problems) -> list[tuple[Any, Place]]:
    """The shared key `backend`, the only one that may be a list: each backend and where it is written."""
    key = EXPERIMENT.children["backend"]
    checker = Checker(problems)
    if node.is_list and not node.value:
        problems.add(node.place, "backend: the list is empty")
        return [(BROKEN, node.place)]
    items = node.value if node.is_list else [node]
    checked = [(checker.value(item, key, ("backend",)), item.place) for item in items]
    return [(backend, place) for backend, place in checked if backend is not None]


def outer_backends(shared: Mapping[str, Any], sweep: Sweep | None) -> tuple[str, ...]:
    """The backends of the outermost loop: those written in `backend`, one where the sweep sets it always."""
    written: Backends = shared.get("backend")
    listed = written or (default_at(("backend",)),)
    return listed[:1] if sweep and any(_sets_always(d) for d in sweep.all()) else listed


def swept_backends(outer: str, dimensions: Sequence[Dimension]) -> tuple[str, ...]:
    """The backends that a block with this outer backend may run."""
    found = [outer]
    for dimension in dimensions:
        chosen = [a.values.get("backend") for a in dimension.alternatives if "backend" in a.values]
        found = [*([] if _sets_always(dimension) else found), *(b or default_at(("backend",)) for b in chosen)]
    return tuple(dict.fromkeys(found))


def any_broken(backends: Iterable[Any]) -> bool:
    """Whether one of these is no backend, and a problem says so: which are meant nobody knows yet."""
    return BROKEN in backends


def _sets_always(dimension: Dimension) -> bool:
    return all("backend" in alternative.values for alternative in dimension.alternatives)
