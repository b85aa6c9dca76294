"""Who else is on a run's GPUs, by process id; and what the host makes of it in the run's result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from results_factory import result

from llem.execution.company import Company, Pids
from llem.results.complete import HostFacts, complete
from llem_runner.contract.events import Event, HeartbeatEvent, PhaseEvent
from llem_runner.contract.result import Check
from llem_runner.metrics.quality import B_CHECKS

OURS, STRANGER, ANOTHER = 100, 4711, 4712


def phase(name: Any) -> Event:
    return PhaseEvent(t=0.0, name=name)


BEAT = HeartbeatEvent(t=0.0)
WHOLE_RUN = [phase(name) for name in ("idle", "load", "resident", "warmup", "measure")] + [BEAT, BEAT, phase("drain")]

# The processes on the GPU at each look: in idle, when the window begins, and at its two heartbeats.
LOOKS: list[tuple[str, list[set[int]], int | None]] = [
    ("alone", [set(), {OURS}, {OURS}, {OURS}], 0),
    ("a worker of ours", [set(), {OURS, OURS + 1}, {OURS}, {OURS}], 0),
    ("before the load", [{STRANGER}, {OURS}, {OURS}, {OURS}], 1),
    ("at the start of the window", [set(), {OURS, STRANGER}, {OURS}, {OURS}], 1),
    ("late in the window", [set(), {OURS}, {OURS}, {OURS, STRANGER, ANOTHER}], 2),
    ("one after the other", [{STRANGER}, {OURS}, {OURS, ANOTHER}, {OURS}], 1),
    ("ids of another namespace", [set(), {7}, {7}, {7}], None),
    ("computing on the CPU", [set(), set(), set(), set()], None),
]


def company(looks: list[set[int] | None], own: Pids | None = frozenset({OURS, OURS + 1}), gpus: int = 1) -> Company:
    times_s, answers = iter(range(0, 1000, 5)), iter(looks)
    uuids = [f"GPU-{index}" for index in range(gpus)]

    def on_gpus(asked: Any) -> dict[str, Pids | None]:
        pids = next(answers)
        return dict.fromkeys(asked, None if pids is None else frozenset(pids))

    return Company(uuids, lambda: own, on_gpus, lambda: float(next(times_s)))


def after(one: Company, events: list[Event]) -> int | None:
    for event in events:
        one.see(event)
    return one.strangers


@pytest.mark.parametrize(("looks", "strangers"), [row[1:] for row in LOOKS], ids=[row[0] for row in LOOKS])
def test_claim_8_8_strangers_are_those_whose_ids_are_not_of_the_run(
    looks: list[set[int] | None], strangers: int | None
) -> None:
    assert after(company(looks), WHOLE_RUN) == strangers


def test_claim_8_8_a_host_without_nvml_or_without_the_ids_of_a_run_knows_nothing_and_looks_once() -> None:
    assert after(company([None]), WHOLE_RUN) is None
    assert after(company([set()], own=None), WHOLE_RUN) is None
    assert after(company([], gpus=0), WHOLE_RUN) is None


def test_claim_8_8_a_window_that_was_not_looked_at_is_not_called_free_of_others() -> None:
    assert after(company([{OURS}]), [phase("idle"), phase("load")]) is None


def test_a_process_of_ours_that_ends_while_we_ask_is_no_stranger() -> None:
    own: Iterator[Pids] = iter([frozenset({OURS, OURS + 1}), frozenset({OURS})])
    one = Company(["a"], lambda: next(own), lambda uuids: {"a": frozenset({OURS, OURS + 1})}, lambda: 0.0)
    assert after(one, [phase("measure")]) == 0


def test_heartbeats_that_come_together_are_one_look() -> None:
    looks = 0

    def on_gpus(uuids: Any) -> dict[str, Pids | None]:
        nonlocal looks
        looks += 1
        return {"a": frozenset({OURS})}

    after(Company(["a"], lambda: frozenset({OURS}), on_gpus, lambda: 0.0), [phase("measure"), BEAT, BEAT])
    assert looks == 1


def checks(passed: bool | None, value: int | None) -> list[dict[str, Any]]:
    made = [Check(name=name, passed=True, value=0, limit=0) for name in B_CHECKS if name != "foreign_processes"]
    return [
        *(each.model_dump() for each in made),
        {"name": "foreign_processes", "passed": passed, "value": value, "limit": 0},
    ]


# What the runner's check says, what the host saw; what the check becomes, and the level with it.
JUDGED: list[tuple[bool | None, int | None, int | None, bool | None, int | None, str]] = [
    (None, None, 0, True, 0, "B"),
    (None, None, 2, False, 2, "C"),
    (None, None, None, None, None, "C"),
    (True, 0, 0, True, 0, "B"),
    (True, 0, 1, False, 1, "C"),
    (True, 0, None, True, 0, "B"),
    (False, 3, 0, False, 3, "C"),
    (False, 1, 2, False, 2, "C"),
]


@pytest.mark.parametrize(("passed", "value", "saw", "then", "then_value", "level"), JUDGED)
def test_claim_8_8_what_the_host_saw_completes_the_runners_check_and_the_level_follows(
    passed: bool | None, value: int | None, saw: int | None, then: bool | None, then_value: int | None, level: str
) -> None:
    warned = [{"code": "foreign_processes_unknown", "message": "nobody can tell"}] if passed is None else []
    said = result({"quality": {"level": "B" if passed else "C", "checks": checks(passed, value)}, "warnings": warned})
    kept = complete(said, HostFacts("e" * 12, 1, 1, strangers=saw))
    [check] = [each for each in kept.quality.checks if each.name == "foreign_processes"]
    assert (check.passed, check.value, check.limit, kept.quality.level) == (then, then_value, 0, level)
    assert [each.name for each in kept.quality.checks] == [each.name for each in said.quality.checks]
    codes = {warning.code for warning in kept.warnings}
    assert ("foreign_processes" in codes) is bool(saw)
    assert ("foreign_processes_unknown" in codes) is (then is None)
