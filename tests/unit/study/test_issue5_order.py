"""Claim 4 of issue 5 and claim 5 of issue 4: cycle orders, and the pauses between runs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest

from llem.study import Plan, make_plan, parse_study
from llem.study.order import turns, williams_row

IDS = ["a", "b", "c"]


def told(n_cycles: int, order: str, ids: list[str] = IDS, seed: str = "s") -> str:
    return " ".join(f"{ids[t.experiment]}{t.cycle}" for t in turns(ids, n_cycles, order, seed))  # type: ignore[arg-type]


def plan_of(execution: str, count: int = 3) -> Plan:
    text = f"model: x\nsweep: {{n: {list(range(1, count + 1))}}}\nexecution: {{{execution}}}\n"
    return make_plan(parse_study(text, source="s.yaml"))


def test_claim_5_sequential_measures_each_experiment_in_all_cycles_before_the_next() -> None:
    assert told(2, "sequential") == "a1 a2 b1 b2 c1 c2"


def test_claim_5_interleaved_measures_all_experiments_in_each_cycle() -> None:
    assert told(2, "interleaved") == "a1 b1 c1 a2 b2 c2"


def test_claim_5_4_reverse_goes_backwards_in_every_second_cycle() -> None:
    assert told(3, "reverse") == "a1 b1 c1 c2 b2 a2 a3 b3 c3"


def test_claim_5_shuffled_sorts_by_the_hash_of_seed_cycle_and_id() -> None:
    ids = [f"{i:012x}" for i in range(20)]
    expected = []
    for cycle in (1, 2, 3):
        keys = {i: hashlib.sha256(f"17:{cycle}:{i}".encode()).hexdigest() for i in ids}
        expected += [f"{i}{cycle}" for i in sorted(ids, key=keys.__getitem__)]
    assert told(3, "shuffled", ids, "17") == " ".join(expected)


def test_claim_5_shuffled_is_seeded_from_the_design_hash_unless_a_seed_is_written() -> None:
    plan, seeded, zero = (
        plan_of(f"n_cycles: 3, cycle_order: shuffled{s}", 9) for s in ("", ", shuffle_seed: 5", ", shuffle_seed: 0")
    )
    ids = list(plan.experiments)
    for chosen, seed in ((plan, plan.design_hash), (seeded, "5"), (zero, "0")):
        assert [f"{ids[t.experiment]}-c{t.cycle}" for t in turns(ids, 3, "shuffled", seed)] == [
            r.run_id for r in chosen.runs
        ]
    assert len({p.plan_hash for p in (plan, seeded, zero)}) == 3
    assert len({p.design_hash for p in (plan, seeded, zero)}) == 1


@pytest.mark.parametrize("count", range(2, 10))
def test_claim_5_4_latin_square_is_balanced_for_position_and_for_what_came_before(count: int) -> None:
    rows = count if count % 2 == 0 else 2 * count
    square = [williams_row(count, row) for row in range(rows)]
    assert all(sorted(row) == list(range(count)) for row in square)
    neighbours = Counter(pair for row in square for pair in pairwise(row))
    assert len(neighbours) == count * (count - 1)  # every ordered pair …
    assert set(neighbours.values()) == {rows // count}  # … equally often
    for position in range(count):
        assert set(Counter(row[position] for row in square).values()) == {rows // count}


def test_claim_5_4_latin_square_begins_0_1_last_2_and_its_rows_are_used_in_turn() -> None:
    assert williams_row(6, 0) == [0, 1, 5, 2, 4, 3]
    assert williams_row(5, 0) == [0, 1, 4, 2, 3]
    assert williams_row(5, 1) == [1, 2, 0, 3, 4]
    assert williams_row(5, 5) == [3, 2, 4, 1, 0]
    assert williams_row(6, 6) == williams_row(6, 0)
    assert williams_row(5, 10) == williams_row(5, 0)
    assert williams_row(1, 3) == [0]
    assert told(2, "latin_square", ["a", "b", "c", "d"]) == "a1 b1 d1 c1 b2 c2 a2 d2"


GAPS = {
    "sequential": [0, 10, 30, 10, 30, 10],
    "interleaved": [0, 10, 10, 30, 10, 10],
    "reverse": [0, 10, 10, 30, 10, 10],
    "shuffled": [0, 10, 10, 30, 10, 10],
}


@pytest.mark.parametrize("order", GAPS)
def test_claim_5_4_pauses_stand_before_each_run_but_the_first_and_longer_ones_before_a_new_pass(order: str) -> None:
    plan = plan_of(f"n_cycles: 2, cycle_order: {order}, experiment_gap_seconds: 10, cycle_gap_seconds: 30")
    assert [run.gap_seconds for run in plan.runs] == GAPS[order]
    assert plan.pause_seconds == sum(GAPS[order])


def test_claim_5_4_runs_are_counted_from_one_and_named_after_experiment_and_cycle() -> None:
    plan = plan_of("n_cycles: 2, cycle_order: interleaved")
    assert [run.sequence for run in plan.runs] == [1, 2, 3, 4, 5, 6]
    assert all(run.run_id == f"{run.experiment_id}-c{run.cycle}" for run in plan.runs)
    assert plan.runs[-1].cycle == 2
    assert [run.run_id for run in plan.runs[1:3]] == [list(plan.runs)[1].run_id, list(plan.runs)[2].run_id]
    assert len({run.run_id for run in plan.runs}) == len(plan.runs)


def test_claim_5_4_orders_are_the_same_in_another_process() -> None:
    code = (
        "from llem.study import make_plan, parse_study\n"
        "t = 'model: x\\nsweep: {n: [3, 1, 2, 9, 8]}\\nexecution: {n_cycles: 3, cycle_order: %s}\\n'\n"
        "for o in ('shuffled', 'latin_square'):\n"
        "    print(*[r.run_id for r in make_plan(parse_study(t % o, source='s.yaml')).runs])\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop().split()) == 30
