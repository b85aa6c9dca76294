"""Shared keys, sweep and entries of a file → blocks of experiments; whose sections may stand where is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llem.study.backends import any_broken, outer_backends, swept_backends
from llem.study.check import Checker, Written
from llem.study.dimensions import Spot, Sweep
from llem.study.expansion import Block, Expansion
from llem.study.keys import BACKENDS, EXPERIMENT, Path
from llem.study.merge import deep_merge
from llem.study.nodes import BROKEN, Node
from llem.study.problems import Place, Problems
from llem.study.study_keys import STUDY_KEYS
from llem.study.sweep import read_sweep
from llem.study.words import found

MAX_EXPERIMENTS = 1_000_000


def build_expansion(root: Node, shared: Written, problems: Problems) -> Expansion:
    """Every block of a study, in order; problems where the file breaks the grammar."""
    sweep_node = _set(root, "sweep")
    sweep = read_sweep(sweep_node, problems) if sweep_node and _is_mapping(sweep_node, "sweep", problems) else None
    entries = _entry_nodes(root, problems)
    builder = _Builder(shared, sweep, problems)
    blocks: list[Block] = []
    if sweep is not None or not entries:
        blocks += builder.sweep_blocks(root)
    entry_paths: dict[Path, None] = {}
    for index, node in enumerate(entries):
        added = builder.entry_blocks(node, index, entry_paths)
        blocks += added
    builder.check_scopes(blocks)
    _check_size(blocks, sweep_node or root, problems)
    paths = {("backend",): None, **dict.fromkeys(builder.swept_paths()), **entry_paths}
    return Expansion(tuple(blocks), tuple(paths))


def _set(root: Node, name: str) -> Node | None:
    """A member that is written; `name:` with nothing, null or {} is as if it were not."""
    node: Node | None = root.value.get(name)
    return None if node is None or node.value is BROKEN or node.value is None or node.value == {} else node


def _is_mapping(node: Node, name: str, problems: Problems) -> bool:
    return Checker(problems).expect_mapping(node, name)


def _entry_nodes(root: Node, problems: Problems) -> list[Node]:
    node = _set(root, "experiments")
    if node is None:
        return []
    if not node.is_list:
        problems.add(node.place, f"experiments: expected a list of mappings, found {found(node)}")
        return []
    if not node.value:
        problems.add(node.place, "experiments: the list is empty")
    checker = Checker(problems)
    return [entry for index, entry in enumerate(node.value) if checker.expect_mapping(entry, f"experiments[{index}]")]


def _check_size(blocks: list[Block], node: Node, problems: Problems) -> None:
    declared = sum(block.at_most for block in blocks)
    if declared > MAX_EXPERIMENTS:
        problems.add(node.place, f"the study declares {declared} experiments; at most {MAX_EXPERIMENTS} are possible")


class _Builder:
    def __init__(self, shared: Written, sweep: Sweep | None, problems: Problems) -> None:
        self._shared = shared
        self._sweep = sweep
        self._problems = problems
        self._outer = outer_backends(shared.values, sweep)
        self._dimensions = tuple([*sweep.groups, *sweep.shared] if sweep else ())
        per_outer = [swept_backends(outer, self._dimensions) for outer in self._outer]
        self._study_backends = tuple(dict.fromkeys(backend for backends in per_outer for backend in backends))

    def swept_paths(self) -> list[Path]:
        """Paths that the sweep sets, in the order in which they vary."""
        return [path for dimension in self._sweep.all() for path in dimension.paths] if self._sweep else []

    def sweep_blocks(self, root: Node) -> list[Block]:
        """One block for each backend of the outermost loop."""
        scoped = {backend: tuple(dims) for backend, dims in self._sweep.scoped.items()} if self._sweep else None
        whole = Spot(root.key_places.get("sweep", root.place), "sweep" if self._sweep else "the shared keys")
        many = len(self._outer) > 1
        return [
            Block(
                values={**self._shared.values, "backend": outer},
                places=self._shared.places,
                spot=Spot(self._shared.places[("backend", str(index))], f"backend[{index}]") if many else whole,
                backends=swept_backends(outer, self._dimensions),
                shared=self._dimensions,
                scoped=scoped,
            )
            for index, outer in enumerate(self._outer)
        ]

    def entry_blocks(self, node: Node, index: int, paths: dict[Path, None]) -> list[Block]:
        """The blocks of one explicit entry: one, or one for each backend of a study of several."""
        name = f"experiments[{index}]"
        checker = Checker(self._problems)
        known = {key: value for key, value in node.value.items() if key not in STUDY_KEYS}
        for key in node.value:
            if key in STUDY_KEYS:
                self._problems.add(node.key_places[key], f"{name}: {key} is a key of the study, not of an experiment")
        entry = Node(known, node.place)
        entry.key_places = node.key_places
        written = checker.mapping(entry, EXPERIMENT)
        paths.update(dict.fromkeys(_leaf_paths(written.values)))
        backend = written.values.get("backend")
        backends = (backend,) if backend else self._study_backends
        self._check_sections(written, node, name, backends, named=backend is not None)
        merged = deep_merge(self._shared.values, {**written.values, "backend": None})
        places = {**self._shared.places, **written.places}
        return [Block({**merged, "backend": b}, places, Spot(node.place, name), (b,), is_entry=True) for b in backends]

    def check_scopes(self, blocks: list[Block]) -> None:
        """An axis or a group's path of a backend that the study does not run is an error."""
        run = {backend for block in blocks for backend in block.backends} | set(self._study_backends)
        if any_broken(run):
            return
        for dimension in self._sweep.all() if self._sweep else ():
            for path, place in dimension.paths.items():
                if path[0] in BACKENDS and path[0] not in run:
                    runs = ", ".join(self._study_backends)
                    message = f"{'.'.join(path)}: this study runs no {path[0]} experiments (backend: {runs})"
                    self._problems.add(place, message)

    def _check_sections(
        self, written: Written, node: Node, name: str, backends: tuple[str, ...], *, named: bool
    ) -> None:
        for section in () if any_broken(backends) else BACKENDS:
            if not written.values.get(section) or (backends == (section,)):
                continue
            place: Place = node.key_places[section]
            if named or len(backends) == 1:
                why = f"this experiment's backend is {backends[0]}"
            else:
                why = f"this study runs {' and '.join(backends)}: name the entry's backend"
            self._problems.add(place, f"{name}: section {section} does not belong here; {why}")


def _leaf_paths(values: Mapping[str, Any], above: Path = ()) -> list[Path]:
    paths: list[Path] = []
    for name, value in values.items():
        path = (*above, name)
        paths += _leaf_paths(value, path) if isinstance(value, dict) and value else [path]
    return paths
