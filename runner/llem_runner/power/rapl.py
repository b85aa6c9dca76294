"""The host's own energy over the window by RAPL: the counters of the CPU packages and of the memory, in microjoule.

    <root>/intel-rapl:0            name package-0    energy_uj  max_energy_range_uj
    <root>/intel-rapl:0/…:0:0      name core         (a part of the package: not added)
    <root>/intel-rapl:0/…:0:1      name dram         beside the package
    <root>/intel-rapl:1            name package-1    …
    <root>/intel-rapl:2            name psys         (the whole platform: not added)

Kernels from 5.8 on show AMD's packages under the same names. Usually only root may read them. A counter returns to 0
after `max_energy_range_uj` (some minutes at full power), so that all are read more often than that in between.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from llem_runner.contract.result import HostEnergy

POWERCAP = Path("/sys/class/powercap")

_READ_EVERY_S = 20.0
"""The smallest range known (32 bits of 15.3 µJ) takes over a minute at 1 kW."""

_JOULES_PER_MICROJOULE = 1e-6
_READ_ERRORS = (OSError, ValueError)


@dataclass
class Counter:
    """One domain's counter, added up over its returns to 0. Raises OSError or ValueError where it cannot be read."""

    folder: Path
    name: str
    range_uj: int
    last_uj: int
    total_uj: int = 0

    @property
    def is_cpu(self) -> bool:
        """Of a package; else of memory."""
        return self.name.startswith("package")

    def read(self) -> None:
        """Add what has passed since it was last read; fewer than one return to 0 must lie in between."""
        now_uj = _number(self.folder / "energy_uj")
        step_uj = now_uj - self.last_uj
        self.total_uj += step_uj if step_uj >= 0 else step_uj + self.range_uj
        self.last_uj = now_uj

    def begin(self) -> None:
        """Count from now on."""
        self.last_uj, self.total_uj = _number(self.folder / "energy_uj"), 0


def find_counters(root: Path = POWERCAP) -> list[Counter]:
    """Counters of packages and memory below `root`; empty where there are none of packages, or not all may be read.

    A part of the sockets would be a number that looks like all of them.
    """
    try:
        found = list(_counters(root))
    except _READ_ERRORS:
        return []
    return found if any(counter.is_cpu for counter in found) else []


def _counters(root: Path) -> Iterator[Counter]:
    # The parts of a package stand at the top as links, too; intel-rapl-mmio:0 would be a package's second time.
    for folder in sorted(root.glob("intel-rapl:*")):
        name = (folder / "name").read_text().strip()
        if name.startswith(("package", "dram")):
            range_uj = _number(folder / "max_energy_range_uj")
            yield Counter(folder, name, range_uj, _number(folder / "energy_uj"))


def _number(path: Path) -> int:
    return int(path.read_text())


@dataclass
class RaplMeter:
    """Energy between `begin` and `end`, of all packages and of all memory. Measured, and of the whole machine.

    A counter that fails leaves host energy unmeasured, with the reason in `problem`; no run fails by it.
    """

    counters: list[Counter]
    read_every_s: float = _READ_EVERY_S
    problem: str | None = None
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Nothing has to be found any more."""

    def ready(self) -> None:
        """It is."""

    def begin(self) -> None:
        """The window opens."""
        self._each(Counter.begin)
        self._thread = threading.Thread(target=self._go_on, name="rapl", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """The window closes."""
        if self._thread is not None:
            self._each(Counter.read)
            self.close()

    def energy(self) -> HostEnergy:
        """Energy between `begin` and `end`; memory is None where this machine has no counter of it."""
        if self.problem:
            return HostEnergy(source="none", estimated=False)
        cpu_uj = [counter.total_uj for counter in self.counters if counter.is_cpu]
        dram_uj = [counter.total_uj for counter in self.counters if not counter.is_cpu]
        return HostEnergy(cpu_j=_joules(cpu_uj), dram_j=_joules(dram_uj), source="rapl", estimated=False)

    def close(self) -> None:
        """Read no more. Safe to call twice."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _go_on(self) -> None:
        while not self._over.wait(self.read_every_s):
            self._each(Counter.read)

    def _each(self, action: Callable[[Counter], None]) -> None:
        with self._lock:
            for counter in self.counters:
                try:
                    action(counter)
                except _READ_ERRORS as error:
                    why = error.strerror if isinstance(error, OSError) else "it is no number"
                    self.problem = f"the RAPL counter {counter.name} could not be read ({why})"


def _joules(parts_uj: list[int]) -> float | None:
    return sum(parts_uj) * _JOULES_PER_MICROJOULE if parts_uj else None
