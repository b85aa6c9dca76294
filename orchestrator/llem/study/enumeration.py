"""One pass over all declared experiments: ids, skip rules, identical ones. This is the loop that has to be fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from llem.study.expansion import Block, Expansion
from llem.study.experiment import SYNTHETIC_SETS, not_default
from llem.study.identity import experiment_id
from llem.study.keys import BACKENDS, Path
from llem.study.problems import Place, Problem, StudyFileError
from llem.study.rules import BOUND_RULES, BoundRule

SAMPLING_KEYS = ("temperature", "top_k", "top_p", "min_p")


@dataclass
class Enumeration:
    """What the pass found: unique experiments by ordinal, and what became of the others."""

    ids: list[str] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    declared: int = 0
    skipped: list[tuple[int, int]] = field(default_factory=list)
    """(ordinal, index of the rule)."""
    merged: list[tuple[int, int]] = field(default_factory=list)
    """(ordinal, position of the first of them)."""
    without_effect: Counter[str] = field(default_factory=Counter)
    """Sampling keys that are set where nothing is sampled, with the number of experiments."""
    backends: tuple[str, ...] = BACKENDS

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the plan has to know."""
        return tuple(
            f"decoder.{key} changes nothing in {count} experiment{'s' if count > 1 else ''}: do_sample is false"
            for key, count in self.without_effect.items()
        )

    def reasons_in_words(self) -> str:
        """The rules that were broken and how often, the most frequent first."""
        counts = Counter(BOUND_RULES[rule].rule.name for _, rule in self.skipped)
        return ", ".join(f"{name} ({count})" for name, count in counts.most_common())


def enumerate_experiments(expansion: Expansion, file: str) -> Enumeration:
    """Walk through an expansion. Raises StudyFileError where all experiments are skipped."""
    found = Enumeration()
    positions: dict[str, int] = {}
    checks: dict[tuple[int, str], _Checks] = {}
    for ordinal, block, backend, written in expansion.walk():
        found.declared += 1
        key = (id(block), backend)
        check = checks.get(key)
        if check is None:
            check = checks[key] = _Checks(block, backend, written)
        if (rule := check.broken(written)) is not None:
            found.skipped.append((ordinal, rule))
            continue
        kept = not_default(written)
        if not _place(found, positions, ordinal, kept):
            continue
        decoder = kept.get("decoder")
        if decoder and not decoder.get("do_sample"):
            found.without_effect.update(name for name in SAMPLING_KEYS if name in decoder)
    if not found.ids:
        raise StudyFileError([_all_skipped(found, expansion, file)])
    return found


def _place(found: Enumeration, positions: dict[str, int], ordinal: int, kept: Mapping[str, Any]) -> bool:
    """Whether the experiment is a new one."""
    new_id = experiment_id(kept)
    position = positions.setdefault(new_id, len(found.ids))
    if position != len(found.ids):
        found.merged.append((ordinal, position))
        return False
    found.ids.append(new_id)
    found.ordinals.append(ordinal)
    return True


def _all_skipped(found: Enumeration, expansion: Expansion, file: str) -> Problem:
    ordinal, rule = found.skipped[0]
    _, written = expansion.at(ordinal)
    bound = BOUND_RULES[rule]
    block, _ = expansion.block_of(ordinal)
    place = block.spot.place if block.spot.place.line else Place(file)
    first = f"{bound.rule.name}: {bound.reason(written)}"
    if found.declared == 1:
        return Problem(*place, f"the only experiment is skipped: {first}")
    message = f"all {found.declared} experiments are skipped: {found.reasons_in_words()}; the first is {first}"
    return Problem(*place, message)


class _Checks:
    """The rules for one backend's experiments of one block; those that nothing swept touches are judged once."""

    def __init__(self, block: Block, backend: str, first: Mapping[str, Any]) -> None:
        varying = block.varying_paths(backend)
        if ("decoder", "preset") in varying:
            varying.add(("decoder",))
        if any(path[0] == "dataset" for path in varying):
            varying.update((name,) for name in SYNTHETIC_SETS)
        self._varying, constant = _split(backend, frozenset(varying))
        self._always = next((index for index, rule in constant if rule.broken_by(first)), None)

    def broken(self, written: Mapping[str, Any]) -> int | None:
        """Index of the first rule that an experiment breaks."""
        for index, rule in self._varying:
            if rule.broken_by(written):
                return index if self._always is None else min(index, self._always)
        return self._always


_Numbered = tuple[tuple[int, BoundRule], ...]


@lru_cache(maxsize=256)
def _split(backend: str, varying: frozenset[Path]) -> tuple[_Numbered, _Numbered]:
    """The rules that concern a backend, numbered: those that the varying paths can touch, and the others."""
    concerned = tuple((i, rule) for i, rule in enumerate(BOUND_RULES) if rule.backend in (None, backend))
    touched = tuple(pair for pair in concerned if pair[1].may_vary_with(varying))
    return touched, tuple(pair for pair in concerned if pair not in touched)
