from __future__ import annotations

from llem.execution.watch import Limits, Watch
from llem_runner.contract import FailureKind
from llem_runner.contract.events import Event, HeartbeatEvent, PhaseEvent, PhaseName, ProgressEvent

LIMITS = Limits(run_s=None, load_s=100.0, silence_s=10.0)


def phase(name: PhaseName) -> Event:
    return PhaseEvent(t=0, name=name)


def tokens(done: float) -> Event:
    return ProgressEvent(t=0, done=done, unit="tokens")


def kind(watch: Watch, now_s: float) -> FailureKind | None:
    verdict = watch.judge(now_s)
    return verdict.kind if verdict else None


def test_claim_15_silence_before_the_first_event_counts_from_the_start() -> None:
    watch = Watch(LIMITS, started_s=0)
    assert kind(watch, 10.0) is None
    assert kind(watch, 10.1) is FailureKind.STALLED


def test_claim_15_a_heartbeat_is_no_life() -> None:
    watch = Watch(LIMITS, started_s=0)
    watch.see(phase("measure"), 1)
    watch.see(HeartbeatEvent(t=0, power_w=300), 10)
    assert kind(watch, 11.1) is FailureKind.STALLED


def test_claim_15_a_count_that_rose_is_life_and_one_that_did_not_is_none() -> None:
    watch = Watch(LIMITS, started_s=0)
    watch.see(phase("measure"), 1)
    watch.see(tokens(5), 8)
    assert kind(watch, 18) is None
    watch.see(tokens(5), 17)
    assert kind(watch, 18.1) is FailureKind.STALLED


def test_a_count_that_begins_anew_in_another_phase_is_life() -> None:
    watch = Watch(LIMITS, started_s=0)
    watch.see(phase("warmup"), 1)
    watch.see(tokens(500), 2)
    watch.see(phase("measure"), 3)
    watch.see(tokens(1), 12)
    assert kind(watch, 21) is None


def test_claim_15_in_load_only_the_load_timeout_counts_from_the_load_event() -> None:
    watch = Watch(LIMITS, started_s=0)
    watch.see(phase("load"), 50)
    assert kind(watch, 149) is None
    assert kind(watch, 150.1) is FailureKind.TIMEOUT
    watch.see(phase("resident"), 151)
    assert kind(watch, 160) is None


def test_claim_22_the_run_timeout_counts_from_the_start_in_every_phase() -> None:
    watch = Watch(Limits(run_s=60.0, load_s=100.0, silence_s=10.0), started_s=0)
    watch.see(phase("load"), 5)
    assert kind(watch, 60) is None
    verdict = watch.judge(60.1)
    assert verdict is not None
    assert verdict.kind is FailureKind.TIMEOUT
    assert "execution.timeout_seconds (60 s)" in verdict.message
