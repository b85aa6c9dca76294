"""Who else was on the GPUs, as far as the counts inside a run tell; at its limits and where nobody can tell."""

from __future__ import annotations

import pytest

from llem_runner.metrics.foreign import MEMORY_BYTES, Occupancy, strangers_of
from llem_runner.metrics.quality import foreign_processes

FREE = Occupancy(processes_before=0, processes_during=1, bytes_before=0)

# What was seen, processes of our own a GPU, strangers.
SEEN: list[tuple[str, list[Occupancy], int | None, int | None]] = [
    ("alone", [FREE], 1, 0),
    ("alone on two", [FREE, FREE], 1, 0),
    ("alone, one GPU unused", [FREE, Occupancy(0, 0, 0)], 1, 0),
    ("computing on the CPU", [Occupancy(0, 0, 0)], 0, 0),
    ("one before the load", [Occupancy(1, 1, 0)], 1, 1),
    ("one in the window", [Occupancy(0, 2, 0)], 1, 1),
    ("one before, three in the window", [Occupancy(1, 4, 0)], 1, 3),
    ("somebody while we compute on the CPU", [Occupancy(0, 1, 0)], 0, 1),
    ("on the second GPU only", [FREE, Occupancy(2, 1, 0)], 1, 2),
    ("memory at the limit", [Occupancy(0, 1, MEMORY_BYTES)], 1, 0),
    ("memory above the limit", [Occupancy(0, 1, MEMORY_BYTES + 1)], 1, 1),
    ("memory of a process that is seen is not counted twice", [Occupancy(1, 2, 2 * MEMORY_BYTES)], 1, 1),
    ("memory of one that is hidden", [Occupancy(None, None, 2 * MEMORY_BYTES)], None, 1),
    ("a driver that hides even us", [Occupancy(0, 0, 0)], 1, None),
    ("no count before", [Occupancy(None, 1, 0)], 1, None),
    ("no count in the window", [Occupancy(0, None, 0)], 1, None),
    ("no memory", [Occupancy(0, 1, None)], 1, None),
    ("an engine that does not tell its processes", [FREE], None, None),
    ("an engine that does not tell, and somebody before it", [Occupancy(1, 2, 0)], None, 1),
    ("one GPU that does not tell", [FREE, Occupancy()], 1, None),
    ("no recording", [], 1, None),
]


@pytest.mark.parametrize(("gpus", "own", "strangers"), [row[1:] for row in SEEN], ids=[row[0] for row in SEEN])
def test_claim_8_8_strangers_by_count_and_by_memory_and_unknown_where_it_is(
    gpus: list[Occupancy], own: int | None, strangers: int | None
) -> None:
    assert strangers_of(gpus, own) == strangers
    check = foreign_processes(gpus, own)
    assert (check.name, check.value, check.limit) == ("foreign_processes", strangers, 0)
    assert check.passed is (None if strangers is None else strangers == 0)
