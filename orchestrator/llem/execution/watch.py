"""Is the run alive? Time-outs and silence, judged from its events and the host's own arrival times. Pure: no clock.

Life is a phase change or a count that rose; a heartbeat says only that the recorder lives. Silence is not judged in
phase `load` (weights may take long): there only the load time-out counts, from the `load` event.
"""

from __future__ import annotations

from dataclasses import dataclass

from llem_runner.contract import FailureKind
from llem_runner.contract.events import Event, PhaseEvent, ProgressEvent


@dataclass(frozen=True)
class Limits:
    """Seconds; None for no limit."""

    run_s: float | None
    load_s: float
    silence_s: float


@dataclass(frozen=True)
class Verdict:
    """Why a run has to be stopped."""

    kind: FailureKind
    message: str


class Watch:
    """Follows one run. All times are the host's monotonic seconds at arrival."""

    def __init__(self, limits: Limits, started_s: float) -> None:
        self._limits = limits
        self._started_s = started_s
        self._life_s = started_s
        self._phase = "start"
        self._phase_s = started_s
        self._counts: dict[tuple[str, str], float] = {}

    @property
    def phase(self) -> str:
        """The phase in hand; `start` before the first."""
        return self._phase

    def see(self, event: Event, now_s: float) -> None:
        """Take an event into account."""
        if isinstance(event, PhaseEvent):
            self._phase, self._phase_s, self._life_s = event.name, now_s, now_s
        elif isinstance(event, ProgressEvent):
            key = (self._phase, event.unit)
            if event.done > self._counts.get(key, 0):
                self._life_s = now_s
            self._counts[key] = event.done

    def judge(self, now_s: float) -> Verdict | None:
        """What is wrong now, if anything."""
        limits = self._limits
        if limits.run_s is not None and now_s - self._started_s > limits.run_s:
            return Verdict(
                FailureKind.TIMEOUT,
                f"stopped in phase {self._phase}: it took longer than execution.timeout_seconds ({limits.run_s:g} s)",
            )
        if self._phase == "load":
            if now_s - self._phase_s > limits.load_s:
                return Verdict(
                    FailureKind.TIMEOUT,
                    f"stopped while loading: longer than execution.load_timeout_seconds ({limits.load_s:g} s)",
                )
            return None
        if now_s - self._life_s > limits.silence_s:
            return Verdict(
                FailureKind.STALLED,
                f"stopped in phase {self._phase}: no sign of life for execution.stall_seconds ({limits.silence_s:g} s)",
            )
        return None
