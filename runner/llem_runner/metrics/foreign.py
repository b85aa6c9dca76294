"""Whether somebody else was on the GPUs of a run, as far as a container can see it. Pure.

NVML names processes by the host's ids, which a container cannot match with its own: it can only count them. Before the
model is loaded nothing of ours computes, so whoever does is a stranger; in the window the run itself has so many
processes on a GPU as its engine says. Memory that is in use before the load is held by somebody, seen or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MEMORY_BYTES = 256 * 2**20
"""So much a driver may hold for its own bookkeeping. The context alone of a process that computes takes more."""


@dataclass(frozen=True)
class Occupancy:
    """Who was on one GPU: the most compute processes and bytes that were seen. None: the board does not tell.

    `before`: until the load began. `during`: in the measured window. What the driver reserves is no byte in use.
    """

    processes_before: int | None = None
    processes_during: int | None = None
    bytes_before: int | None = None

    def strangers(self, own: int | None) -> int:
        """Processes that were surely not ours, where the run has `own` on this GPU (None: nobody knows)."""
        beside_us = 0 if own is None or self.processes_during is None else self.processes_during - own
        counted = max(self.processes_before or 0, beside_us)
        held_by_somebody = (self.bytes_before or 0) > MEMORY_BYTES
        return max(counted, 1 if held_by_somebody else 0)


def strangers_of(gpus: Sequence[Occupancy], own: int | None) -> int | None:
    """Processes of others on all GPUs of a run; memory that no visible process holds counts as one's. None: unknown.

    Nobody is claimed to have been there only where every GPU tells its processes and its memory, and where the count
    sees the run itself: some drivers show none of its processes to a container.
    """
    found = sum(gpu.strangers(own) for gpu in gpus)
    if found:
        return found
    told = all(None not in (gpu.processes_before, gpu.processes_during, gpu.bytes_before) for gpu in gpus)
    sees_us = own == 0 or any(gpu.processes_during for gpu in gpus)
    return 0 if gpus and told and own is not None and sees_us else None
