"""Which experiments of a study are compared with which. Pure.

Not every pair, but those that answer a question: where one thing changes and all else is equal, each value against the
first that the study writes; and every experiment against the best of those that do the same work with the same model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from statistics import fmean
from typing import Any, Literal

from llem.results.work import asked
from llem_runner.contract import ExperimentConfig, ExperimentResult
from llem_runner.contract.engines import BACKEND_SECTIONS
from llem_runner.contract.result import Level

Kind = Literal["one_change", "best"]


@dataclass(frozen=True)
class Side:
    """One experiment, as it is compared: its swept values, and its completed runs (at least one) by cycle."""

    experiment_id: str
    swept: Mapping[str, Any]
    level: Level
    simulated: bool
    runs: Mapping[int, ExperimentResult]

    @property
    def config(self) -> ExperimentConfig:
        """Its configuration."""
        return next(iter(self.runs.values())).experiment

    @cached_property
    def cost(self) -> tuple[int, float]:
        """What the best has least of: J/output token; of experiments without it, seconds per output token.

        As a mean of logarithms, so that the ratio to the best is not below 1 where the cycles are the same.
        """
        energy = _mean_log(run.energy.per_output_token_j for run in self.runs.values())
        speed = _mean_log(run.throughput.output_tokens_per_s for run in self.runs.values())
        if energy is not None:
            return 0, energy
        return (1, -speed) if speed is not None else (2, 0.0)

    @cached_property
    def group(self) -> Hashable:
        """What it has in common with those that it may be best of: the work, and the model that does it."""
        config = self.config
        adapter = config.lora.model_dump_json() if config.lora else None
        return asked(config), config.model, config.revision, config.weights, adapter


@dataclass(frozen=True)
class Pair:
    """Two experiments, and why they are compared."""

    reference: Side
    other: Side
    kinds: tuple[Kind, ...]

    @property
    def cycles(self) -> dict[int, tuple[ExperimentResult, ExperimentResult]]:
        """The runs of the cycles that both completed: reference and other."""
        reference, other = self.reference.runs, self.other.runs
        return {cycle: (reference[cycle], other[cycle]) for cycle in sorted(reference.keys() & other.keys())}


def natural_pairs(sides: Sequence[Side]) -> list[Pair]:
    """The pairs of a study, each once. `sides` are in the order of the plan.

    A pair that is of both kinds has the best as its reference.
    """
    found: dict[frozenset[str], Pair] = {}
    for group in _by(sides, _group):
        best = min(group, key=_cost)
        found |= {_ids(best, other): Pair(best, other, ("best",)) for other in group if other is not best}
    for first, *others in lines(sides):
        for other in others:
            pair = found.get(_ids(first, other)) or Pair(first, other, ())
            found[_ids(first, other)] = replace(pair, kinds=tuple(dict.fromkeys((*pair.kinds, "one_change"))))
    return list(found.values())


def family_size(sides: Sequence[Side], pairs: Sequence[Pair]) -> int:
    """How many pairs Holm's correction is over: all within a group, and those of `pairs` that compare two models.

    Which one of a group is best, what was measured decides; so any two of them might have been compared.
    """
    within = sum(math.comb(len(group), 2) for group in _by(sides, _group))
    return within + sum(pair.reference.group != pair.other.group for pair in pairs)


def lines(sides: Sequence[Side]) -> Iterator[list[Side]]:
    """Experiments that differ at one swept path only, in the order of the plan: two or more, at every path.

    A backend brings its own settings. Of each backend that one stands in the line which costs least, all else equal.
    """
    for path in dict.fromkeys(path for side in sides for path in side.swept):
        own = [side for side in sides if path in side.swept]
        found = _by(own, partial(_all_but, path))
        if path == "backend":
            found = [[min(each, key=_cost) for each in _by(line, _backend)] for line in found]
        yield from (line for line in found if len(line) > 1)


def _cost(side: Side) -> tuple[int, float]:
    return side.cost


def _group(side: Side) -> Hashable:
    return side.group


def _backend(side: Side) -> str:
    return side.config.backend


def _all_but(path: str, side: Side) -> Hashable:
    swept = {name: value for name, value in side.swept.items() if name != path}
    if path == "backend":
        swept = {name: value for name, value in swept.items() if name.partition(".")[0] not in BACKEND_SECTIONS}
    return tuple((name, repr(value)) for name, value in swept.items())


def _mean_log(values: Iterable[float | None]) -> float | None:
    logs = [math.log(value) for value in values if value is not None and value > 0]
    return fmean(logs) if logs else None


def _by(sides: Iterable[Side], key: Callable[[Side], Hashable]) -> list[list[Side]]:
    """The sides in groups of one key, in order of appearance."""
    groups: dict[Hashable, list[Side]] = {}
    for side in sides:
        groups.setdefault(key(side), []).append(side)
    return list(groups.values())


def _ids(one: Side, other: Side) -> frozenset[str]:
    return frozenset((one.experiment_id, other.experiment_id))
