"""From the start of a run to its end: events as they come, limits, and the request to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

from llem.ended import Ended
from llem.execution.interrupts import Interrupts
from llem.execution.tail import EventTail
from llem.execution.watch import Verdict, Watch
from llem.launch.protocol import Launcher, Poll
from llem_runner.contract import FailureKind
from llem_runner.contract.events import Event

_LOOK_EVERY_S = 0.2
"""Often enough for a progress bar, rarely enough not to disturb what is measured."""

STOP_GRACE_S = 15.0
"""For an engine to unload and a runner to say why it ended."""


def follow(
    launcher: Launcher,
    handle: str,
    watch: Watch,
    interrupts: Interrupts,
    on_event: Callable[[Event], None],
    notice: Callable[[str], None],
    now: Callable[[], float] = time.monotonic,
) -> tuple[Ended, Verdict | None]:
    """Wait for a run's end. The verdict is ours, where it was we who ended it."""
    tail = EventTail()

    def look() -> Poll:
        poll = launcher.poll(handle, tail.offset)
        for event in tail.feed(poll.events):
            watch.see(event, now())
            on_event(event)
        return poll

    while True:
        seen = look()
        if seen.ended is not None:
            # A second Ctrl-C, or whoever sent us the signal, may have ended the run before we could.
            return seen.ended, _interrupted(interrupts, watch)
        verdict = _interrupted(interrupts, watch) or watch.judge(now())
        if verdict is not None:
            notice(_stopping(verdict))
            ended = launcher.stop(handle, 0 if interrupts.urgent else STOP_GRACE_S)
            look()
            return ended, verdict
        if not seen.more:
            interrupts.wait(_LOOK_EVERY_S)


def _stopping(verdict: Verdict) -> str:
    if verdict.kind is FailureKind.INTERRUPTED:
        return f"Stopping the run in hand, in at most {STOP_GRACE_S:g} s. Ctrl-C again ends it at once."
    return f"Stopping the run in hand: {verdict.message}."


def _interrupted(interrupts: Interrupts, watch: Watch) -> Verdict | None:
    if not interrupts.requested:
        return None
    return Verdict(FailureKind.INTERRUPTED, f"stopped in phase {watch.phase}, as you asked")
