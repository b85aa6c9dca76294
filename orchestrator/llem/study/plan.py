"""Study → Plan: the experiments that will run, with ids, what is skipped and merged, and the order of the runs.

Nothing is kept but ids and ordinals: a configuration is built when it is asked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, overload

from llem.study.enumeration import Enumeration, enumerate_experiments
from llem.study.expansion import Expansion
from llem.study.experiment import SYNTHETIC_SETS, not_default, with_defaults
from llem.study.identity import canonical_json, short_hash, study_design_hash
from llem.study.keys import Path
from llem.study.merge import value_at
from llem.study.order import turns
from llem.study.problems import Place, Problem, StudyFileError
from llem.study.rules import BOUND_RULES, default_at
from llem.study.study import Study
from llem.study.study_keys import ExecutionSettings
from llem_runner.contract import ExperimentConfig

MAX_RUNS = 10_000_000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Skipped:
    """An experiment that breaks a rule, with defaults filled in."""

    rule: str
    reason: str
    experiment: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As `plan --json` and study_result.json have it."""
        return {"rule": self.rule, "reason": self.reason, "experiment": self.experiment}


@dataclass(frozen=True, slots=True)
class SkippedGroup:
    """Experiments that are skipped for one reason, and what the first of them sets at the swept paths."""

    rule: str
    reason: str
    count: int
    first: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """An experiment that is written again: both places, the first of which stays."""

    experiment_id: str
    first: str
    again: str


@dataclass(frozen=True, slots=True)
class Run:
    """One experiment in one cycle. `gap_seconds` is the pause before it, as designed; `sequence` counts from 1."""

    sequence: int
    run_id: str
    experiment_id: str
    cycle: int
    gap_seconds: float


class Lazy(Sequence[_T], Generic[_T]):
    """A sequence whose items are made when they are asked for."""

    def __init__(self, size: int, make: Callable[[int], _T]) -> None:
        self._size = size
        self._make = make

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_T]: ...
    def __getitem__(self, index: int | slice) -> _T | Sequence[_T]:
        if isinstance(index, slice):
            return [self._make(i) for i in range(self._size)[index]]
        return self._make(range(self._size)[index])

    def __iter__(self) -> Iterator[_T]:
        return map(self._make, range(self._size))


class Experiments(Mapping[str, ExperimentConfig]):
    """Experiment id → configuration, in the order of the plan; each is built anew when it is asked for."""

    def __init__(self, ids: Sequence[str], values: Callable[[int], dict[str, Any]]) -> None:
        self._position = {experiment_id: position for position, experiment_id in enumerate(ids)}
        self._values = values

    def __getitem__(self, experiment_id: str) -> ExperimentConfig:
        return ExperimentConfig.model_validate(self._values(self._position[experiment_id]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._position)

    def __len__(self) -> int:
        return len(self._position)

    def __contains__(self, experiment_id: object) -> bool:
        return experiment_id in self._position

    def position(self, experiment_id: str) -> int:
        """Where the experiment stands in the plan, from 0. Raises KeyError."""
        return self._position[experiment_id]


class Plan:
    """What a study expands to. Pure: the same study gives the same plan in every process."""

    def __init__(self, study: Study, enumeration: Enumeration) -> None:
        self._expansion: Expansion = study.expansion
        self._execution: ExecutionSettings = study.execution
        self._found = enumeration
        self.declared: int = enumeration.declared
        """Experiments that the file declares, before any is skipped or merged."""
        self.design_hash: str = study_design_hash(enumeration.ids)
        self.experiments = Experiments(enumeration.ids, self._not_default)
        self.skipped: Sequence[Skipped] = Lazy(len(enumeration.skipped), self._skipped)
        self.merged: Sequence[Merged] = Lazy(len(enumeration.merged), self._merged)
        self.runs: Sequence[Run] = Lazy(len(enumeration.ids) * study.execution.n_cycles, self._run)
        self.notes: tuple[str, ...] = (*study.notes, *self._merge_notes())
        self.warnings: tuple[str, ...] = (*enumeration.warnings, *self._skip_warnings())

    @cached_property
    def plan_hash(self) -> str:
        """12 hex digits over the design and everything that decides order and pauses."""
        settings = self._execution
        decided = [self.design_hash, settings.n_cycles, settings.cycle_order, self._seed]
        pauses = [float(settings.experiment_gap_seconds), float(settings.cycle_gap_seconds)]
        return short_hash(canonical_json([*decided, *pauses]))

    @cached_property
    def swept(self) -> tuple[str, ...]:
        """Dotted paths at which the experiments differ, in the order in which they vary."""
        return tuple(".".join(path) for path in self._swept_paths)

    def swept_values(self, experiment_id: str) -> dict[str, Any]:
        """The experiment's own values at the swept paths (another backend's paths are left out)."""
        return self._swept_at(self._found.ordinals[self.experiments.position(experiment_id)])

    def skipped_groups(self) -> list[SkippedGroup]:
        """What is skipped, for people: by rule and reason, in order of appearance."""
        groups: dict[tuple[str, str], list[int]] = {}  # → number, ordinal of the first
        for ordinal, rule in self._found.skipped:
            bound = BOUND_RULES[rule]
            reason = bound.reason(self._expansion.at(ordinal)[1]) if bound.shows_values else bound.rule.reason
            groups.setdefault((bound.rule.name, reason), [0, ordinal])[0] += 1
        return [SkippedGroup(*words, count, self._swept_at(first)) for words, (count, first) in groups.items()]

    def distinct_values(self, dotted: str) -> list[Any]:
        """Every value that the plan's experiments have at a path, defaults included, in order of appearance."""
        path = tuple(dotted.split("."))
        possible = [value for block in self._expansion.blocks for value in block.possible_values(path)]
        distinct = _distinct(possible)
        incomplete = len(distinct) > 1 and len(self.experiments) < self.declared
        if incomplete or path[0] in ("decoder", *SYNTHETIC_SETS):  # shorthand writes other keys than its own
            distinct = _distinct(_value(self._written(i)[1], path) for i in range(len(self.experiments)))
        return distinct

    @property
    def pause_seconds(self) -> float:
        """All pauses of the plan together, in seconds."""
        settings = self._execution
        passes = len(self.experiments) if settings.cycle_order == "sequential" else settings.n_cycles
        within = len(self.runs) - passes
        return float((passes - 1) * settings.cycle_gap_seconds + within * settings.experiment_gap_seconds)

    def to_json(self) -> dict[str, Any]:
        """The plan as `llem plan --json` prints it: every experiment with defaults filled in."""
        ids = self._found.ids
        return {
            "study_design_hash": self.design_hash,
            "experiments": [{"experiment_id": ids[i], **with_defaults(self._not_default(i))} for i in range(len(ids))],
            "skipped": [skipped.to_json() for skipped in self.skipped],
            "order": [run.run_id for run in self.runs],
        }

    @cached_property
    def _swept_paths(self) -> tuple[Path, ...]:
        return self._expansion.varying()

    @cached_property
    def _seed(self) -> str:
        seed = self._execution.shuffle_seed
        return self.design_hash if seed is None else str(seed)

    @cached_property
    def _turns(self) -> tuple[array[int], array[int], bytearray]:
        experiments, cycles, opens = array("I"), array("I"), bytearray()
        settings = self._execution
        for turn in turns(self._found.ids, settings.n_cycles, settings.cycle_order, self._seed):
            experiments.append(turn.experiment)
            cycles.append(turn.cycle)
            opens.append(turn.opens_pass)
        return experiments, cycles, opens

    def _run(self, index: int) -> Run:
        experiments, cycles, _ = self._turns
        experiment_id, cycle = self._found.ids[experiments[index]], cycles[index]
        return Run(index + 1, f"{experiment_id}-c{cycle}", experiment_id, cycle, self._gap(index))

    def _gap(self, index: int) -> float:
        if index == 0:
            return 0.0
        settings = self._execution
        opens = self._turns[2][index]
        return float(settings.cycle_gap_seconds if opens else settings.experiment_gap_seconds)

    def _swept_at(self, ordinal: int) -> dict[str, Any]:
        # As written, so that a preset shows as itself and not as what it stands for.
        backend, written = self._expansion.written_at(ordinal)
        own = [path for path in self._swept_paths if path[0] == backend or path[0] not in self._found.backends]
        return {".".join(path): _value(written, path) for path in own}

    def _written(self, position: int) -> tuple[str, dict[str, Any]]:
        return self._expansion.at(self._found.ordinals[position])

    def _not_default(self, position: int) -> dict[str, Any]:
        return not_default(self._written(position)[1])

    def _skipped(self, index: int) -> Skipped:
        ordinal, rule = self._found.skipped[index]
        _, written = self._expansion.at(ordinal)
        bound = BOUND_RULES[rule]
        return Skipped(bound.rule.name, bound.reason(written), with_defaults(not_default(written)))

    def _merged(self, index: int) -> Merged:
        ordinal, position = self._found.merged[index]
        first, again = self._expansion.two_places(self._found.ordinals[position], ordinal)
        return Merged(self._found.ids[position], first, again)

    def _merge_notes(self) -> Iterator[str]:
        for merged in self.merged[:_NOTES_SHOWN]:
            yield f"{merged.again} is the same experiment as {merged.first}: {merged.experiment_id} is measured once"
        if len(self.merged) > _NOTES_SHOWN:
            yield f"… and {len(self.merged) - _NOTES_SHOWN} more that are the same as earlier ones"

    def _skip_warnings(self) -> Iterator[str]:
        if 2 * len(self.skipped) > self.declared:
            yield f"{len(self.skipped)} of {self.declared} experiments are skipped: {self._found.reasons_in_words()}"


_NOTES_SHOWN = 20


def make_plan(study: Study) -> Plan:
    """The plan of a study. Raises StudyFileError where no experiment is left, or there are too many runs."""
    enumeration = enumerate_experiments(study.expansion, study.file)
    count, cycles = len(enumeration.ids), study.execution.n_cycles
    if count * cycles > MAX_RUNS:
        message = f"{count} experiments in {cycles} cycles are more than {MAX_RUNS} runs"
        place = Place(study.file, 1, 1) if study.source else Place(study.file)
        raise StudyFileError([Problem(*place, message)])
    return Plan(study, enumeration)


def _value(written: Mapping[str, Any], path: Path) -> Any:
    value = value_at(written, path)
    return default_at(path) if value is None else value


def _distinct(values: Iterator[Any] | list[Any]) -> list[Any]:
    return list({canonical_json(value): value for value in values}.values())
