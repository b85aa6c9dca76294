"""What reads the GPUs of a run: the recorder over NVML, or nothing, with the reason.

The procedure waits through a meter (idle, resident, drain); without a sensor there is nothing to wait for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llem_runner.contract import Allocation, ExperimentConfig, FailureKind, RunFailed
from llem_runner.event_log import EventLog
from llem_runner.power.boards import board_facts
from llem_runner.power.outcomes import SensorsUnavailable
from llem_runner.power.recorder import Recorder
from llem_runner.power.sensors import Board, Sensors
from llem_runner.power.timeline import Timeline
from llem_runner.power.visible import PhysicalBoard, visible_uuids

_TICK_S = 0.5
_HEARTBEAT_EVERY_S = 5.0
_DRAIN_AT_MOST_S = 5.0


@dataclass(frozen=True)
class Recording:
    """What the meter leaves: the boards and their timeline, or why there is none."""

    boards: tuple[Board, ...] = ()
    timeline: Timeline | None = None
    reason: str | None = None


class Meter:
    """No sensor: nothing is read, and no wait is worth its time. `reason` says why, for the result."""

    reads = False
    simulated = False

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def settle(self, seconds: float, events: EventLog) -> None:
        """Stay for `seconds`, so that a power at rest can be read; at once where nothing reads it."""
        del seconds
        events.info(f"no wait: {self._reason}")

    def check(self) -> None:
        """Raise GpuLost or RecorderFailed if reading has ended."""

    def temperature_c(self) -> float | None:
        """The hottest GPU, in °C."""
        return None

    def drain(self, end_s: float) -> None:
        """Keep recording until a window that ended at `end_s` can be computed."""
        del end_s

    def beat(self, events: EventLog) -> None:
        """Write a heartbeat."""
        events.heartbeat(None, None)

    def finish(self) -> Recording:
        """End the recording and read it back."""
        return Recording(reason=self._reason)


class GpuMeter(Meter):
    """NVML, read by the recorder's process."""

    reads = True

    def __init__(self, boards: tuple[Board, ...], recorder: Recorder, path: Path) -> None:
        super().__init__("")
        self._boards = boards
        self._recorder = recorder
        self._path = path
        self.simulated = any(board.simulated for board in boards)

    def settle(self, seconds: float, events: EventLog) -> None:
        start_s = time.monotonic()
        while (elapsed_s := time.monotonic() - start_s) < seconds:
            self.check()
            # A long baseline is no silence: the host sees it go on.
            events.progress(round(elapsed_s, 1), seconds, "seconds")
            time.sleep(min(_TICK_S, seconds - elapsed_s))

    def check(self) -> None:
        self._recorder.check()

    def temperature_c(self) -> float | None:
        latest = self._recorder.latest()
        return latest.temperature_c if latest else None

    def beat(self, events: EventLog) -> None:
        latest = self._recorder.latest()
        events.heartbeat(latest.power_w if latest else None, latest.temperature_c if latest else None)

    def drain(self, end_s: float) -> None:
        facts = {board.uuid: board_facts(board.name) for board in self._boards}
        while not self._recorder.drained(end_s, facts) and time.monotonic() < end_s + _DRAIN_AT_MOST_S:
            self.check()
            time.sleep(0.05)

    def finish(self) -> Recording:
        self._recorder.stop()
        return Recording(self._boards, Timeline.read(self._path))


@contextmanager
def open_meter(
    config: ExperimentConfig,
    allocation: Allocation,
    path: Path,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Meter]:
    """The meter of a run, recording from now on.

    Raises RunFailed of kind backend where NVML was asked for by name and cannot be read, or where the process sees
    GPUs that it was not given; GpuLost where an allocated board is gone.
    """
    wanted = config.energy.backend
    if wanted == "none" or not allocation.gpu_uuids:
        reason = "energy.backend is none" if wanted == "none" else "no GPU was allocated to this run"
        if wanted == "nvml":
            raise RunFailed(FailureKind.BACKEND, f"energy.backend: nvml was asked for, but {reason}.")
        yield Meter(reason)
        return
    try:
        boards = _allocated_boards(allocation, environment)
    except SensorsUnavailable as error:
        if wanted == "nvml":
            raise RunFailed(FailureKind.BACKEND, f"energy.backend: nvml was asked for, but {error.message}") from error
        yield Meter(error.message)
        return
    with Recorder.start(path, [board.uuid for board in boards], config.energy.poll_interval_ms / 1000) as recorder:
        meter = GpuMeter(boards, recorder, path)
        # A span can be computed once the counter was seen to step before it.
        meter.drain(time.monotonic())
        yield meter


@contextmanager
def beating(meter: Meter, events: EventLog) -> Iterator[None]:
    """Heartbeats every few seconds, from a thread that sleeps in between."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_HEARTBEAT_EVERY_S):
            meter.beat(events)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _allocated_boards(allocation: Allocation, environment: Mapping[str, str]) -> tuple[Board, ...]:
    with Sensors.open(environment) as sensors:
        everything = sensors.boards()
        visible = visible_uuids(
            environment.get("CUDA_VISIBLE_DEVICES"),
            [PhysicalBoard(board.uuid, board.pci_bus_id) for board in everything],
        )
        hidden = set(allocation.gpu_uuids) - set(visible)
        if hidden:
            raise RunFailed(
                FailureKind.BACKEND,
                f"GPU {', '.join(sorted(hidden))} was allocated to this run but is not visible here "
                f"(CUDA_VISIBLE_DEVICES={environment.get('CUDA_VISIBLE_DEVICES')}): it would be measured while another "
                "one computes.",
            )
        by_uuid = {board.uuid: board for board in everything}
        return tuple(by_uuid[uuid] for uuid in allocation.gpu_uuids)
