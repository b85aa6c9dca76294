"""The thermal gate between runs: each begins with GPUs that are about as cool as before the study.

A GPU that comes warm from another experiment draws more than one that had a rest: without the gate, the order of the
runs is part of what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llem.launch.gpus import temperatures
from llem.study.study_keys import GateSettings

_LOOK_EVERY_S = 1.0


class GateGivenUp(Exception):
    """We were asked to end while a run waited for its GPUs to cool down."""


@dataclass(frozen=True)
class GpuAtGate:
    """One GPU's temperature: as first seen in this study, and when the gate opened. None: it did not tell then."""

    idle_c: float | None
    start_c: float | None


@dataclass(frozen=True)
class GateWait:
    """How a run came through the gate. `reached` is None where the temperature of a GPU could not be read."""

    band_c: float
    max_wait_seconds: float
    waited_s: float
    reached: bool | None
    gpus: Mapping[str, GpuAtGate]

    def described(self) -> dict[str, Any]:
        """As JSON values, for `launch.json` and the result's environment."""
        return asdict(self)


class ThermalGate:
    """The gate of one study; without `settings` it stands open.

    `wait(seconds)` sleeps and says whether we were asked to end. `read` gives temperatures (°C) by the UUIDs of GPUs,
    None where one does not tell. `idle_c` are those that the study saw before it was interrupted.
    """

    def __init__(
        self,
        settings: GateSettings | None,
        wait: Callable[[float], bool],
        notice: Callable[[str], None],
        *,
        idle_c: Mapping[str, float] | None = None,
        read: Callable[[Sequence[str]], Mapping[str, float | None]] = temperatures,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._wait = wait
        self._notice = notice
        self._idle_c = dict(idle_c or {})
        self._read = read
        self._clock = clock
        self._is_blind = False

    def pass_through(self, uuids: Sequence[str]) -> GateWait | None:
        """Wait until these GPUs are within the band of their idle temperature; None where there is nothing to wait for.

        A GPU that is seen for the first time is idle. Raises GateGivenUp where we are asked to end meanwhile.
        """
        if self._settings is None or not uuids:
            return None
        return self._wait_for(uuids, self._settings.band_c, self._settings.max_wait_seconds)

    def _wait_for(self, uuids: Sequence[str], band_c: float, most_s: float) -> GateWait:
        start_s, told = self._clock(), False
        while True:
            now_c = self._look(uuids)
            hot = {uuid: value for uuid, value in now_c.items() if value > self._idle_c[uuid] + band_c}
            is_blind, waited_s = len(now_c) < len(uuids), self._clock() - start_s
            if is_blind or not hot or waited_s >= most_s:
                break
            if not told:
                self._notice(f"Thermal gate: waiting at most {most_s:g} s, {self._in_words(hot)}.")
                told = True
            if self._wait(min(_LOOK_EVERY_S, most_s - waited_s)):
                raise GateGivenUp
        if is_blind:
            self._say_that_it_is_blind([uuid for uuid in uuids if uuid not in now_c])
        elif hot:
            self._notice(f"Thermal gate: {self._in_words(hot)} after {most_s:g} s; the run begins all the same.")
        gpus = {uuid: GpuAtGate(self._idle_c.get(uuid), now_c.get(uuid)) for uuid in uuids}
        return GateWait(band_c, most_s, round(waited_s, 3), None if is_blind else not hot, gpus)

    def _look(self, uuids: Sequence[str]) -> dict[str, float]:
        """The temperatures that can be read now; the first of a GPU is its idle one."""
        now_c = {uuid: value for uuid, value in self._read(uuids).items() if value is not None}
        for uuid, value in now_c.items():
            self._idle_c.setdefault(uuid, value)
        return now_c

    def _say_that_it_is_blind(self, uuids: Sequence[str]) -> None:
        if not self._is_blind:
            self._notice(
                f"Thermal gate: the temperature of GPU {', '.join(uuids)} cannot be read on this host (NVML). "
                "Runs begin without waiting for it."
            )
        self._is_blind = True

    def _in_words(self, hot: Mapping[str, float]) -> str:
        return "; ".join(
            f"GPU {uuid} is at {value:g} °C, {value - self._idle_c[uuid]:g} °C above its idle temperature"
            for uuid, value in hot.items()
        )


def idle_seen(gates: Iterable[Any]) -> dict[str, float]:
    """The idle temperatures in what earlier runs of a study recorded of its gate, by UUID."""
    found: dict[str, float] = {}
    for gate in gates:
        gpus = gate.get("gpus") if isinstance(gate, dict) else None
        for uuid, gpu in gpus.items() if isinstance(gpus, dict) else ():
            idle_c = gpu.get("idle_c") if isinstance(gpu, dict) else None
            if isinstance(idle_c, (int, float)):
                found.setdefault(uuid, float(idle_c))
    return found
