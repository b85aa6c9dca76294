from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from llem.launch.gpu_drain import GpuDrain

A, B = "GPU-a", "GPU-b"
GIB = 2**30


class Machine:
    """GPUs whose memory changes from look to look, and a clock that only waiting moves."""

    def __init__(self, *looks: Mapping[str, int | None], stops: Iterable[bool] = ()) -> None:
        self.looks = list(looks)
        self.stops = iter(stops)
        self.now_s = 100.0
        self.asked: list[list[str]] = []

    def read(self, uuids: Sequence[str]) -> Mapping[str, int | None]:
        self.asked.append(list(uuids))
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def wait(self, seconds: float) -> bool:
        self.now_s += seconds
        return next(self.stops, False)

    def drain(self, processes: Mapping[str, int | None] | None = None) -> GpuDrain:
        known = {} if processes is None else {"processes": lambda _: processes}
        return GpuDrain(self.read, self.wait, clock=lambda: self.now_s, every_s=1.0, patience_s=10.0, **known)

    def judged(self, *uuids: str, processes: Mapping[str, int | None] | None = None) -> dict[str, str]:
        drain = self.drain(processes)
        drain.before(uuids)
        return drain.after(uuids)


def test_claim_6_12_a_gpu_that_gives_its_memory_back_is_healthy_as_soon_as_it_has() -> None:
    machine = Machine({A: 2 * GIB}, {A: 60 * GIB}, {A: 30 * GIB}, {A: 2 * GIB})
    assert machine.judged(A) == {}
    assert machine.now_s == 102.0


def test_claim_6_12_what_a_driver_keeps_is_no_reason() -> None:
    assert Machine({A: GIB}, {A: GIB + 256 * 2**20}).judged(A) == {}
    assert Machine({A: GIB}, {A: GIB + 256 * 2**20 + 1}).judged(A) != {}


def test_claim_6_12_a_gpu_that_is_never_drained_is_told_with_how_much_and_by_how_many_after_a_bounded_time() -> None:
    machine = Machine({A: GIB, B: 0}, {A: 41 * GIB, B: 0})
    [(uuid, reason)] = machine.judged(A, B, processes={A: 2}).items()
    assert uuid == A
    assert reason == "41.0 GiB of its memory are still in use by 2 processes 10 s after the run (1.0 GiB before it)"
    assert machine.now_s == 110.0
    # A drained GPU is not asked again.
    assert machine.asked[2:] == [[A]] * (len(machine.asked) - 2)


def test_claim_6_12_processes_are_left_out_of_the_reason_where_nobody_knows_them() -> None:
    for processes in (None, {A: None}):
        [reason] = Machine({A: 0}, {A: GIB}).judged(A, processes=processes).values()
        assert "in use 10 s after" in reason


@pytest.mark.parametrize("after", [{A: None}, {}], ids=["unreadable", "gone"])
def test_claim_6_12_a_gpu_that_was_lost_in_the_run_is_told(after: Mapping[str, int | None]) -> None:
    machine = Machine({A: GIB}, after)
    assert machine.judged(A) == {A: "it cannot be read any more: NVML does not answer for it"}
    assert machine.now_s == 110.0


def test_claim_6_12_a_gpu_that_answers_again_in_time_is_healthy() -> None:
    assert Machine({A: GIB}, {A: None}, {A: GIB}).judged(A) == {}


def test_claim_6_12_of_a_gpu_that_could_not_be_read_before_nothing_is_claimed() -> None:
    machine = Machine({A: None}, {A: 80 * GIB})
    assert machine.judged(A) == {}
    assert machine.drain().after([B]) == {}
    assert machine.asked == [[A]]


def test_claim_6_12_a_reading_of_an_earlier_run_is_not_used_for_a_later_one() -> None:
    machine = Machine({A: GIB}, {A: None}, {A: 80 * GIB})
    drain = machine.drain()
    drain.before([A])
    drain.before([A])
    assert drain.after([A]) == {}


def test_claim_6_12_nothing_is_judged_once_we_are_asked_to_stop() -> None:
    machine = Machine({A: 0}, {A: GIB}, stops=[False, True])
    assert machine.judged(A) == {}
    assert machine.now_s == 102.0


def test_claim_6_12_without_gpus_nothing_is_read() -> None:
    machine = Machine({})
    assert machine.judged() == {}
    assert machine.asked == []


def test_claim_6_12_what_was_read_after_a_run_is_not_read_again_before_the_next_but_after_a_pause() -> None:
    machine = Machine({A: GIB})
    drain = machine.drain()
    drain.before([A])
    assert drain.after([A]) == {}
    drain.before([A])
    assert (machine.asked, drain.before_bytes([A, B])) == ([[A], [A]], {A: GIB})
    # Not what was read of one GPU for another.
    drain.before([A, B])
    assert machine.asked[2:] == [[A, B]]
    machine.now_s += 60
    drain.before([A])
    assert machine.asked[3:] == [[A]]
