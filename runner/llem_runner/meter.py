"""What reads the GPUs of a run: the recorder over NVML, or nothing, with the reason.

The procedure waits through a meter (idle, resident, drain); without a sensor there is nothing to wait for. Where Zeus
or CodeCarbon was asked for, its joules of the window are the run's, and the recorder runs beside it for all else:
powers at rest, temperature, clocks, memory, and the word of a lost GPU.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llem_runner.allocated import allocated_boards
from llem_runner.contract import Allocation, ExperimentConfig, FailureKind, RunFailed
from llem_runner.event_log import EventLog
from llem_runner.marks import Span
from llem_runner.power.boards import board_facts
from llem_runner.power.outcomes import GpuLost, SensorsUnavailable
from llem_runner.power.recorder import Recorder
from llem_runner.power.sensors import Board
from llem_runner.power.timeline import Timeline
from llem_runner.power.window_meter import Metered, Tool, WindowMeter

_TICK_S = 0.5
_HEARTBEAT_EVERY_S = 5.0
_DRAIN_AT_MOST_S = 5.0
_LOOK_FOR_LOSS_EVERY_S = 0.05


_TOOLS: tuple[Tool, ...] = ("zeus", "codecarbon")


@dataclass(frozen=True)
class MeterChoice:
    """What was asked to read energy, what does, and why that one."""

    asked: str
    used: str
    why: str

    def described(self) -> dict[str, Any]:
        """For the result's environment."""
        return asdict(self)


@dataclass(frozen=True)
class Recording:
    """What the meter leaves: the boards and their timeline, or why there is none.

    `metered` is what another tool says of the window, where one was asked.
    """

    boards: tuple[Board, ...] = ()
    timeline: Timeline | None = None
    reason: str | None = None
    metered: Metered | None = None


class Meter:
    """Nothing is read, and no wait is worth its time. `reason` says why, for the result.

    `boards` are those that the run was given, as far as they can be known without reading them.
    """

    reads = False

    def __init__(self, reason: str, boards: tuple[Board, ...] = (), choice: MeterChoice | None = None) -> None:
        self._reason = reason
        self.boards = boards
        self.choice = choice or MeterChoice("none", "none", reason)

    @property
    def simulated(self) -> bool:
        """Whether the run has simulated boards."""
        return any(board.simulated for board in self.boards)

    def settle(self, seconds: float, events: EventLog) -> Span | None:
        """Stay for `seconds`, so that a power at rest can be read; None, at once, where nothing reads it."""
        del seconds
        events.info(f"no wait: {self._reason}")
        return None

    def check(self) -> None:
        """Raise GpuLost or RecorderFailed if reading has ended."""

    def lost_within(self, seconds: float) -> GpuLost | None:
        """The loss of a GPU, if the sensors tell of one within so many seconds."""
        del seconds
        return None

    def temperature_c(self) -> float | None:
        """The hottest GPU, in °C."""
        return None

    def mark(self) -> None:
        """A span that will be asked for begins or ends now: read at once."""

    def begin(self) -> None:
        """The measured window opens."""

    def end(self) -> None:
        """The measured window closes."""

    def drain(self, end_s: float) -> None:
        """Keep recording until a window that ended at `end_s` can be computed."""
        del end_s

    def beat(self, events: EventLog) -> None:
        """Write a heartbeat."""
        events.heartbeat(None, None)

    def finish(self) -> Recording:
        """End the recording and read it back."""
        return Recording(self.boards, reason=self._reason)


class GpuMeter(Meter):
    """NVML, read by the recorder's process; `tool` is another meter around the window."""

    reads = True

    def __init__(
        self,
        boards: tuple[Board, ...],
        recorder: Recorder,
        path: Path,
        choice: MeterChoice | None = None,
        tool: WindowMeter | None = None,
    ) -> None:
        super().__init__("", boards, choice)
        self._recorder = recorder
        self._path = path
        self._tool = tool

    def settle(self, seconds: float, events: EventLog) -> Span:
        self.mark()
        start_s = time.monotonic()
        while (elapsed_s := time.monotonic() - start_s) < seconds:
            self.check()
            # A long baseline is no silence: the host sees it go on.
            events.progress(round(elapsed_s, 1), seconds, "seconds")
            time.sleep(min(_TICK_S, seconds - elapsed_s))
        self.mark()
        return Span(start_s, time.monotonic())

    def check(self) -> None:
        self._recorder.check()

    def lost_within(self, seconds: float) -> GpuLost | None:
        deadline_s = time.monotonic() + seconds
        while True:
            try:
                self.check()
            except GpuLost as lost:
                return lost
            except RunFailed:
                return None
            if time.monotonic() >= deadline_s:
                return None
            time.sleep(_LOOK_FOR_LOSS_EVERY_S)

    def temperature_c(self) -> float | None:
        latest = self._recorder.latest()
        return latest.temperature_c if latest else None

    def beat(self, events: EventLog) -> None:
        latest = self._recorder.latest()
        events.heartbeat(latest.power_w if latest else None, latest.temperature_c if latest else None)

    def mark(self) -> None:
        self._recorder.sample()

    def begin(self) -> None:
        if self._tool:
            self._tool.begin()

    def end(self) -> None:
        if self._tool:
            self._tool.end()

    def drain(self, end_s: float) -> None:
        facts = {board.uuid: board_facts(board.name) for board in self.boards}
        while not self._recorder.drained(end_s, facts) and time.monotonic() < end_s + _DRAIN_AT_MOST_S:
            self.check()
            time.sleep(0.05)

    def finish(self) -> Recording:
        self._recorder.stop()
        metered = self._tool.reading() if self._tool else None
        return Recording(self.boards, Timeline.read(self._path), metered=metered)


@contextmanager
def open_meter(
    config: ExperimentConfig,
    allocation: Allocation,
    path: Path,
    unix_offset_s: float | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Meter]:
    """The meter of a run, recording from now on. `unix_offset_s` is the run's, by which readings are given in realtime.

    Raises RunFailed of kind backend where a meter was asked for by name and cannot measure, or where the process sees
    GPUs that it was not given; GpuLost where an allocated board is gone.
    """
    wanted = config.energy.backend
    reason = "no GPU was allocated to this run"
    boards: tuple[Board, ...] = ()
    if allocation.gpu_uuids:
        reason, boards = _boards_if_possible(allocation, environment)
    # CodeCarbon alone is asked of machines without a GPU, too: it models their CPU.
    if reason and wanted in ("nvml", "zeus"):
        raise RunFailed(FailureKind.BACKEND, f"energy.backend: {wanted} was asked for, but {reason}.")
    choice = _choice(wanted, reason)
    if choice.used == "none":
        # The boards are known all the same: what computes on them, and whether they are real, is asked of them.
        yield Meter(choice.why, boards, choice)
        return
    tool = next((name for name in _TOOLS if name == wanted), None)
    with ExitStack() as open_until_the_end:
        # First, and before anything is recorded: it takes seconds to find its boards.
        other = open_until_the_end.enter_context(closing(WindowMeter.start(tool, boards))) if tool else None
        uuids, period_s = [board.uuid for board in boards], config.energy.poll_interval_ms / 1000
        recorder = open_until_the_end.enter_context(Recorder.start(path, uuids, period_s, unix_offset_s))
        meter = GpuMeter(boards, recorder, path, choice, other)
        # A span can be computed once the counter was seen to step before it.
        meter.drain(time.monotonic())
        yield meter


def _choice(wanted: str, reason: str) -> MeterChoice:
    """What measures, where `wanted` was asked for and `reason`, if any, keeps the boards from being read."""
    if wanted == "none":
        return MeterChoice(wanted, "none", "energy.backend is none")
    if reason:
        return MeterChoice(wanted, "none", reason)
    if wanted == "auto":
        return MeterChoice(
            wanted,
            "nvml",
            "NVML can be read here: with bounds, and for every phase. Zeus and CodeCarbon would read the same counter, "
            "at the edges of the window only, and tell no bounds.",
        )
    return MeterChoice(wanted, wanted, "it was asked for by name")


@contextmanager
def beating(meter: Meter, events: EventLog, every_s: float = _HEARTBEAT_EVERY_S) -> Iterator[None]:
    """Heartbeats every few seconds, from a thread that sleeps in between. A disk that fails it ends the run."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every_s):
            try:
                meter.beat(events)
            except OSError as error:
                events.failed(error)
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _boards_if_possible(allocation: Allocation, environment: Mapping[str, str]) -> tuple[str, tuple[Board, ...]]:
    """Why nothing can be read (empty where it can), and the boards."""
    try:
        return "", allocated_boards(allocation, environment)
    except SensorsUnavailable as error:
        return error.message, ()
