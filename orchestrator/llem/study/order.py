"""Cycle orders: which experiment comes when, as a pure function of ids and settings. Cycles count from 1."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llem.study.study_keys import CycleOrder


@dataclass(frozen=True, slots=True)
class Turn:
    """One experiment (by its index) in one cycle; `opens_pass` where a new pass over the experiments begins."""

    experiment: int
    cycle: int
    opens_pass: bool


def turns(ids: Sequence[str], n_cycles: int, order: CycleOrder, seed: str) -> Iterator[Turn]:
    """All turns in order. `seed` shuffles; in sequential order a new experiment counts as a new pass."""
    if order == "sequential":
        for experiment in range(len(ids)):
            for cycle in range(1, n_cycles + 1):
                yield Turn(experiment, cycle, opens_pass=cycle == 1)
        return
    for cycle in range(1, n_cycles + 1):
        for position, experiment in enumerate(_one_cycle(ids, cycle, order, seed)):
            yield Turn(experiment, cycle, opens_pass=position == 0)


def _one_cycle(ids: Sequence[str], cycle: int, order: CycleOrder, seed: str) -> Sequence[int]:
    count = len(ids)
    if order == "shuffled":
        return sorted(range(count), key=lambda i: hashlib.sha256(f"{seed}:{cycle}:{ids[i]}".encode()).digest())
    if order == "latin_square":
        return williams_row(count, cycle - 1)
    if order == "reverse" and cycle % 2 == 0:
        return range(count - 1, -1, -1)
    return range(count)


def williams_row(count: int, row: int) -> list[int]:
    """Row of a Williams design for `count` treatments: over all rows each follows each other equally often.

    `count` rows where it is even, twice as many where it is odd (the second half mirrored); rows beyond begin anew.
    Source: E. J. Williams, Australian Journal of Scientific Research A 2 (1949) 149-168. First row: 0, 1, k-1, 2, k-2 …
    """
    rows = count if count % 2 == 0 else 2 * count
    row %= rows
    first = [(i + 1) // 2 if i % 2 else (count - i // 2) % count for i in range(count)]
    shifted = [(value + row) % count for value in first]
    return shifted if row < count else shifted[::-1]
