"""How a run's process or container ended: what the launcher saw and the diagnosis judges."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """The state of an ended run.

    `exit_code` is as the operating system gives it (a subprocess killed by signal N: −N); None where nobody knows.
    """

    exit_code: int | None
    oom_killed: bool = False
    removed: bool = False
    """Taken away from outside before we could look."""
    paused: bool = False
    engine_gone: bool = False
    """The container engine went away while the run was going on."""
