"""The parent's side of the recorder: start it, watch it, look at what it wrote last, stop it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from llem_runner.contract.failures import FailureKind, RunFailed
from llem_runner.power.boards import BoardFacts
from llem_runner.power.estimate import drained
from llem_runner.power.outcomes import GpuLost, RecorderFailed
from llem_runner.power.recorder_process import DISK, LOST, STOPPED
from llem_runner.power.timeline import Timeline

_FIRST_SAMPLE_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_WATCH_INTERVAL_S = 0.01
_LONGEST_LINE_BYTES = 200
_TAIL_S = 5.0
STALE_S = 5.0
"""Readings come every few ms to a second: none for so long means that a call into NVML does not come back."""
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class HeartbeatReading:
    """The latest readings: power summed over the boards in watt, the hottest board's temperature. None: not known."""

    monotonic_s: float
    power_w: float | None
    temperature_c: float | None


class Recorder:
    """A running recorder process. Use as a context manager, or call `stop`.

    Start it from a thread that lives as long as the run: the process is killed when the thread that started it ends.
    """

    def __init__(self, process: subprocess.Popen[bytes], path: Path, uuids: Sequence[str], period_s: float) -> None:
        self._process = process
        self._path = path
        self._tail_bytes = int(_TAIL_S / period_s + 1) * len(uuids) * _LONGEST_LINE_BYTES
        self._uuids = tuple(uuids)
        self._stopped = False
        self._failure: RunFailed | None = None
        self._looked_s = time.monotonic()
        self._was_stale = False

    @classmethod
    def start(cls, path: Path, uuids: Sequence[str], period_s: float, unix_offset_s: float | None = None) -> Recorder:
        """Start recording the boards `uuids` into the new file `path`, and wait until each was read once.

        `unix_offset_s` is realtime less monotonic time, by which readings are given in both; None: as it is now.
        Raises `GpuLost` or `RecorderFailed` if it ends before that.
        """
        if path.exists():
            raise RecorderFailed(f"{path} cannot be written: File exists", FailureKind.DISK)
        command = [sys.executable, "-m", "llem_runner.power.recorder_process"]
        command += ["--out", str(path), "--period", repr(period_s), "--parent", str(os.getpid())]
        offset_s = time.time() - time.monotonic() if unix_offset_s is None else unix_offset_s
        command += [f"--unix-offset={offset_s!r}", *uuids]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        recorder = cls(process, path, uuids, period_s)
        try:
            recorder._wait_for_first_sample()
        except BaseException:
            recorder.kill()
            raise
        return recorder

    @property
    def pid(self) -> int:
        """The recorder's process id."""
        return self._process.pid

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def alive(self) -> bool:
        """Whether the process still records."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise `GpuLost` or `RecorderFailed` if the recorder ended without being asked to, or reads nothing any more.

        Cheap: it may be called with every token.
        """
        if self._failure is not None:
            raise self._failure
        if self._stopped:
            return
        self._check_that_it_lives()
        self._check_that_it_reads(time.monotonic())

    def _check_that_it_lives(self) -> None:
        if self.alive():
            return
        self._failure = self._why_it_ended()
        self._close()
        raise self._failure

    def latest(self) -> HeartbeatReading | None:
        """The latest readings; None before the first, and where the last are too old to be the present's."""
        tail = self.tail()
        rows = [series for series in tail.devices.values() if len(series)]
        if not rows or time.monotonic() - max(series.after_s[-1] for series in rows) > STALE_S:
            return None
        powers = [series.latest_power_w() for series in rows]
        hot = [series.slow["temperature_c"][-1][1] for series in rows if series.slow.get("temperature_c")]
        known = [power for power in powers if power is not None]
        return HeartbeatReading(
            monotonic_s=max(series.after_s[-1] for series in rows),
            power_w=sum(known) if len(known) == len(powers) else None,
            temperature_c=max(hot, default=None),
        )

    def drained(self, end_s: float, facts: Mapping[str, BoardFacts]) -> bool:
        """Whether every board's readings show all of a span that ended at `end_s`, some seconds ago at most."""
        devices = self.tail().devices
        return all(uuid in devices and drained(devices[uuid], end_s, facts[uuid]) for uuid in self._uuids)

    def tail(self) -> Timeline:
        """The last seconds of the recording."""
        return Timeline.read_tail(self._path, self._tail_bytes)

    def sample(self) -> None:
        """Ask for a reading of every board at once: within a millisecond or so, if the machine has one to spare.

        What is asked for more often than every 0.1 s is left out. Cheap, and never an error: a recorder that has ended
        tells of it when it is checked.
        """
        if self._stopped or self._process.stdin is None or self._process.stdin.closed:
            return
        with suppress(BrokenPipeError):
            os.write(self._process.stdin.fileno(), b".")

    def stop(self) -> None:
        """End the recording in order. Raises `GpuLost` or `RecorderFailed` if it had ended by itself."""
        if self._stopped:
            return
        self.check()
        self._hang_up()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # A call into NVML hangs; every reading so far is in the file already.
            self.kill()
            return
        if self._process.returncode:
            self.check()
        self._stopped = True
        self._close()

    def kill(self) -> None:
        """End the process at once, whatever it does; what it wrote stays."""
        self._stopped = True
        self._process.kill()
        self._process.wait()
        self._close()

    def _check_that_it_reads(self, now_s: float) -> None:
        if now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        lines_bytes = 2 * len(self._uuids) * _LONGEST_LINE_BYTES
        rows = [series for series in Timeline.read_tail(self._path, lines_bytes).devices.values() if len(series)]
        silent_s = now_s - max((series.after_s[-1] for series in rows), default=now_s)
        # Twice in a row: a container that was paused looks once before its recorder has read again.
        if silent_s > STALE_S and self._was_stale:
            self._failure = GpuLost(
                f"GPU {', '.join(self._uuids)} cannot be read any more: its sensor stopped answering {silent_s:.0f} s "
                "ago. Look for Xid messages in the kernel log (`dmesg`), and reset or replace the board."
            )
            self.kill()
            raise self._failure
        self._was_stale = silent_s > STALE_S

    def _wait_for_first_sample(self) -> None:
        deadline_s = time.monotonic() + _FIRST_SAMPLE_TIMEOUT_S
        while not self._first_sample_is_written():
            self._check_that_it_lives()
            if time.monotonic() > deadline_s:
                raise RecorderFailed(f"the power recorder gave no reading within {_FIRST_SAMPLE_TIMEOUT_S:.0f} s")
            time.sleep(_WATCH_INTERVAL_S)

    def _first_sample_is_written(self) -> bool:
        if not self._path.exists():
            return False
        return self._path.read_bytes().count(b"\n") > len(self._uuids)

    def _why_it_ended(self) -> RunFailed:
        outcome, message = self._last_word()
        if outcome == LOST:
            return GpuLost(message)
        if outcome == DISK:
            return RecorderFailed(message, FailureKind.DISK)
        if outcome == STOPPED:
            return RecorderFailed("the power recorder ended before the run did")
        return RecorderFailed(message or f"the power recorder ended with exit code {self._process.returncode}")

    def _last_word(self) -> tuple[str, str]:
        """What the process said last; empty where it was killed before it could speak."""
        said = b"" if self._process.stdout is None or self._process.stdout.closed else self._process.stdout.read()
        try:
            word = json.loads(said)
        except ValueError:
            return "", ""
        return str(word["outcome"]), str(word["message"])

    def _hang_up(self) -> None:
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def _close(self) -> None:
        self._hang_up()
        if self._process.stdout is not None:
            self._process.stdout.close()
