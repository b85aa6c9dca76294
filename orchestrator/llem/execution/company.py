"""Who else is on a run's GPUs, by process id: what a container cannot know, and a host with NVML can.

NVML's ids are those of the machine's first process namespace. A host that is in another one (llem in a container, an
engine in a virtual machine) would take the run's own processes for strangers; so nothing is said unless one of the ids
was seen to be the run's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from llem.launch.gpus import compute_pids
from llem_runner.contract.events import Event, HeartbeatEvent, PhaseEvent

_LOOK_EVERY_S = 2.0
_PHASES = ("idle", "measure")
"""When strangers count: what they do to the baseline and to the window is in the result."""

Pids = frozenset[int]


class Company:
    """Looks at the GPUs of one run whenever it tells where it is.

    `own` gives the ids of the run's processes, `on_gpus` of all that compute on its GPUs; None: nobody knows.
    """

    def __init__(
        self,
        uuids: Sequence[str],
        own: Callable[[], Pids | None],
        on_gpus: Callable[[Sequence[str]], Mapping[str, Pids | None]] = compute_pids,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uuids = uuids
        self._own = own
        self._on_gpus = on_gpus
        self._clock = clock
        self._phase = ""
        self._looked_s = -_LOOK_EVERY_S
        self._ours: set[int] = set()
        self._seen: list[Pids] = []
        self._saw_window = False
        self._is_blind = False

    def see(self, event: Event) -> None:
        """Take an event into account; looks where it is time to."""
        if isinstance(event, PhaseEvent):
            self._phase = event.name
        is_due = isinstance(event, PhaseEvent) or (
            isinstance(event, HeartbeatEvent) and self._clock() - self._looked_s >= _LOOK_EVERY_S
        )
        if self._uuids and not self._is_blind and is_due and self._phase in _PHASES:
            self._look()

    @property
    def strangers(self) -> int | None:
        """How many processes of others computed on the run's GPUs at most at once; None where that is not known."""
        was_us = any(self._ours & pids for pids in self._seen)
        if self._is_blind or not was_us or not self._saw_window:
            return None
        return max(len(pids - self._ours) for pids in self._seen)

    def _look(self) -> None:
        # Before and after: a process of ours that began or ended between the two answers is no stranger.
        before = self._own()
        known = [pids for pids in self._on_gpus(self._uuids).values() if pids is not None]
        after = self._own() if before is not None and len(known) == len(self._uuids) else None
        self._looked_s = self._clock()
        if before is None or after is None:
            self._is_blind = True
            return
        self._ours |= before | after
        self._seen.append(frozenset().union(*known))
        self._saw_window = self._saw_window or self._phase == "measure"
