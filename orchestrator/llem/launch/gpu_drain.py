"""After a run, its GPUs must give back their memory; one that does not is unhealthy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

Reader = Callable[[Sequence[str]], Mapping[str, int | None]]
"""A number by the UUID of a GPU; None where it cannot be read. What it raises goes on to whoever asked."""

_FRESH_S = 5.0
"""For so long what was read after a run is what is in use before the next: a look may cost a container."""
_MIB, _GIB = 2**20, 2**30
# What a driver may keep after the last process has left: its own bookkeeping, a first context's channels. A process
# that still computes holds more: its context alone takes some 300 to 600 MiB.
_TOLERANCE_BYTES = 256 * _MIB


def _nobody_knows(uuids: Sequence[str]) -> dict[str, int | None]:
    return dict.fromkeys(uuids)


class GpuDrain:
    """Compares the memory in use after a run with that before it.

    `read` gives the memory in use (bytes), `processes` the number of processes that compute, both by UUID.
    `wait(seconds)` sleeps and says whether we were asked to stop; `clock` counts seconds.
    """

    def __init__(
        self,
        read: Reader,
        wait: Callable[[float], bool],
        *,
        processes: Reader = _nobody_knows,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = 0.25,
        patience_s: float = 30.0,
    ) -> None:
        self._read = read
        self._wait = wait
        self._processes = processes
        self._clock = clock
        self._every_s = every_s
        self._patience_s = patience_s
        self._before_bytes: dict[str, int] = {}
        self._after: dict[str, tuple[float, int]] = {}

    def before(self, uuids: Sequence[str]) -> None:
        """Remember the memory in use on the GPUs of the run that is about to start."""
        for uuid in uuids:
            self._before_bytes.pop(uuid, None)
        if uuids:
            used = self._fresh(uuids) or self._read(uuids)
            self.remember({uuid: at for uuid in uuids if (at := used.get(uuid)) is not None})

    def remember(self, used_bytes: Mapping[str, int]) -> None:
        """What was in use before a run that somebody else has begun."""
        self._before_bytes.update(used_bytes)

    def before_bytes(self, uuids: Sequence[str]) -> dict[str, int]:
        """What was in use before the run, as far as it is known."""
        return {uuid: self._before_bytes[uuid] for uuid in uuids if uuid in self._before_bytes}

    def after(self, uuids: Sequence[str]) -> dict[str, str]:
        """Wait until the run's GPUs are drained; those that are not within the patience, with the reason in words.

        A GPU that could not be read before the run is not judged, and none is once we are asked to stop.
        """
        pending = [uuid for uuid in uuids if uuid in self._before_bytes]
        end_s = self._clock() + self._patience_s
        while pending:
            used = self._read(pending)
            pending = [uuid for uuid in pending if not self._drained(uuid, used.get(uuid))]
            left_s = end_s - self._clock()
            if left_s <= 0:
                return self._reasons(pending, used)
            if pending and self._wait(min(self._every_s, left_s)):
                break
        return {}

    def _drained(self, uuid: str, used_bytes: int | None) -> bool:
        if used_bytes is None or used_bytes > self._before_bytes[uuid] + _TOLERANCE_BYTES:
            return False
        self._after[uuid] = self._clock(), used_bytes
        return True

    def _fresh(self, uuids: Sequence[str]) -> Mapping[str, int | None] | None:
        """What was read a moment ago, if it was on all of these."""
        now_s = self._clock()
        known = {uuid: used for uuid, (at_s, used) in self._after.items() if now_s - at_s <= _FRESH_S}
        return known if known.keys() >= set(uuids) else None

    def _reasons(self, uuids: Sequence[str], used: Mapping[str, int | None]) -> dict[str, str]:
        processes = self._processes(uuids) if uuids else {}
        return {uuid: self._reason(uuid, used.get(uuid), processes.get(uuid)) for uuid in uuids}

    def _reason(self, uuid: str, used_bytes: int | None, processes: int | None) -> str:
        if used_bytes is None:
            return "it cannot be read any more: NVML does not answer for it"
        by = "" if processes is None else f" by {processes} {'process' if processes == 1 else 'processes'}"
        return (
            f"{used_bytes / _GIB:.1f} GiB of its memory are still in use{by} {self._patience_s:g} s after the run "
            f"({self._before_bytes[uuid] / _GIB:.1f} GiB before it)"
        )
