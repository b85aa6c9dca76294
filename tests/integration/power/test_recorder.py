"""The real recorder process on the simulated NVML library: what it writes, how it ends, and the energy made of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_nvml import Fault, Saw, Settings, Square, a100, h100, p100
from simulated_nvml.fixtures import SimulatedNvml

from llem_runner.contract.failures import FailureKind
from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator
from llem_runner.power.outcomes import GpuLost, RecorderFailed
from llem_runner.power.recorder import Recorder
from llem_runner.power.timeline import Timeline

PERIOD_S = 0.047


@pytest.fixture
def nvml(simulated_nvml: SimulatedNvml, monkeypatch: pytest.MonkeyPatch) -> SimulatedNvml:
    """The simulated library, in the environment that the recorder process inherits."""
    for name, value in simulated_nvml.env.items():
        monkeypatch.setenv(name, value)
    return simulated_nvml


def wait_until(happened: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.02)


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or dead and only not yet collected by whoever inherited it."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_claim_8_energy_from_the_recorder_has_bounds_that_contain_the_truth(
    nvml: SimulatedNvml, tmp_path: Path
) -> None:
    settings = Settings(
        boards=(
            h100(0),
            h100(1, power=(Square(high_w=400.0, period_s=0.75),)),
            a100(2, power=(Saw(to_w=300.0, period_s=1.9),)),
            p100(3),
        )
    )
    nvml.write(settings)
    facts = {board.uuid: board_facts(board.name) for board in settings.boards}
    path = tmp_path / "power.csv"
    with Recorder.start(path, list(facts), PERIOD_S) as recorder:
        time.sleep(0.2)
        start_s, unix_offset_s = time.monotonic(), time.time() - time.monotonic()
        time.sleep(2.0)
        end_s = time.monotonic()
        wait_until(lambda: recorder.drained(end_s, facts))
        latest = recorder.latest()
    assert latest is not None
    assert latest.temperature_c == 40
    timeline = Timeline.read(path)
    methods = {}
    for uuid, fact in facts.items():
        found = Estimator(timeline.devices[uuid], fact).energy(start_s, end_s)
        truth_j = settings.truth(uuid).energy_j(start_s + unix_offset_s, end_s + unix_offset_s)
        assert found.refusal is None
        assert found.lower_j is not None
        assert found.upper_j is not None
        assert found.lower_j <= truth_j <= found.upper_j
        methods[uuid] = found.method
    assert list(methods.values()) == ["counter", "counter", "counter", "power"]


def test_claim_7_3_readings_that_a_board_does_not_give_are_empty_and_not_zero(
    nvml: SimulatedNvml, tmp_path: Path
) -> None:
    faults = [Fault(name, "NOT_SUPPORTED") for name in ("counter", "power_average", "temperature", "throttle_reasons")]
    board = h100(0).with_faults(*faults, Fault("processes", "NO_PERMISSION"))
    nvml.write(Settings(boards=(board,)))
    path = tmp_path / "power.csv"
    with Recorder.start(path, [board.uuid], PERIOD_S):
        pass
    header, first, *_ = path.read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    empty = {name for name, cell in row.items() if not cell}
    assert empty == {
        "counter_mj",
        "power_w",
        "power_average_w",
        "temperature_c",
        "throttle_reasons",
        "compute_processes",
    }
    assert row["power_instant_w"] == "300.000"


def test_claim_7_3_a_driver_without_the_energy_symbols_is_read_by_its_plain_power(
    nvml: SimulatedNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(nvml.library / "no-energy-symbols"))
    path = tmp_path / "power.csv"
    with Recorder.start(path, [h100(0).uuid], PERIOD_S):
        pass
    (series,) = Timeline.read(path).devices.values()
    assert not series.has_counter
    assert series.power_w[0] == 300.0


def test_claim_7_3_a_gpu_that_is_lost_while_recording_is_named_and_its_readings_are_kept(
    nvml: SimulatedNvml, tmp_path: Path
) -> None:
    board = h100(0)
    path = tmp_path / "power.csv"
    with Recorder.start(path, [board.uuid], PERIOD_S) as recorder:
        recorder.check()
        nvml.write(Settings(boards=(board.lost(),)))
        wait_until(lambda: not recorder.alive())
        with pytest.raises(GpuLost, match=board.uuid) as lost:
            recorder.check()
        assert lost.value.kind is FailureKind.GPU_LOST
        with pytest.raises(GpuLost):
            recorder.stop()
        recorder.kill()
    assert len(Timeline.read(path).devices[board.uuid]) >= 1


@pytest.mark.usefixtures("nvml")
def test_claim_7_3_a_gpu_that_is_not_there_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(GpuLost, match="GPU-not-here"):
        Recorder.start(tmp_path / "power.csv", ["GPU-not-here"], PERIOD_S)


def test_claim_7_3_nvml_that_cannot_be_opened_is_an_error_at_the_start(nvml: SimulatedNvml, tmp_path: Path) -> None:
    nvml.write(Settings(boards=(h100(0),), faults=(Fault("init", "DRIVER_NOT_LOADED"),)))
    with pytest.raises(RecorderFailed, match="driver is not loaded"):
        Recorder.start(tmp_path / "power.csv", [h100(0).uuid], PERIOD_S)


@pytest.mark.usefixtures("nvml")
def test_a_file_that_is_there_already_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    path.write_text("of an\nearlier\nattempt\n")
    with pytest.raises(RecorderFailed, match="File exists") as failed:
        Recorder.start(path, [h100(0).uuid], PERIOD_S)
    assert failed.value.kind is FailureKind.DISK
    assert path.read_text() == "of an\nearlier\nattempt\n"


RECORD_AND_SLEEP = """
import pathlib, sys, time
from llem_runner.power.recorder import Recorder
recorder = Recorder.start(pathlib.Path(sys.argv[2]), [sys.argv[3]], 0.047)
print(recorder.pid, flush=True)
sys.stdin.readline()
exec(sys.argv[1])
"""
PARENTS_END = {
    "returns": "pass",
    "raises": "raise SystemError",
    "exits at once": "import os; os._exit(3)",
    "is killed": "import os; os.kill(os.getpid(), 9)",
    "is terminated": "import os; os.kill(os.getpid(), 15)",
    "aborts": "import os; os.abort()",
    "becomes another program": "import os; os.execv('/bin/true', ['true'])",
}


@pytest.mark.usefixtures("nvml")
@pytest.mark.parametrize("end", PARENTS_END.values(), ids=list(PARENTS_END))
def test_claim_7_2_the_recorder_ends_with_its_parent_whatever_ends_it(tmp_path: Path, end: str) -> None:
    command = [sys.executable, "-c", RECORD_AND_SLEEP, end, str(tmp_path / "power.csv"), h100(0).uuid]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not has_ended(pid)
        parent.communicate("now\n")
        wait_until(lambda: has_ended(pid))


def test_claim_7_2_the_recorder_ends_with_its_parent_even_while_a_call_into_nvml_hangs(
    nvml: SimulatedNvml, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", RECORD_AND_SLEEP, PARENTS_END["is killed"], str(tmp_path / "power.csv")]
    with subprocess.Popen([*command, h100(0).uuid], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        nvml.write(Settings(boards=(h100(0, call_delay_s=600.0),)))
        # Until its calls take that long: nothing new is written then.
        path, rows = tmp_path / "power.csv", -1
        while rows != (rows := path.read_bytes().count(b"\n")):
            time.sleep(0.3)
        parent.communicate("now\n")
        wait_until(lambda: has_ended(pid))


@pytest.mark.usefixtures("nvml")
def test_signals_to_the_group_do_not_end_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    with Recorder.start(path, [h100(0).uuid], PERIOD_S) as recorder:
        os.kill(recorder.pid, signal.SIGINT)
        os.kill(recorder.pid, signal.SIGTERM)
        rows = path.read_bytes().count(b"\n")
        wait_until(lambda: path.read_bytes().count(b"\n") > rows + 3)
        recorder.check()


RECORD_WITHIN_FILE_LIMIT = """
import pathlib, resource, sys, time
from llem_runner.power.recorder import Recorder
from llem_runner.power.outcomes import RecorderFailed
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
recorder = Recorder.start(pathlib.Path(sys.argv[1]), sys.argv[2:], 0.005)
while recorder.alive():
    time.sleep(0.01)
try:
    recorder.check()
except RecorderFailed as failure:
    print(failure.kind, failure.message)
"""


@pytest.mark.usefixtures("nvml")
def test_a_file_that_cannot_grow_ends_the_recording_as_disk(tmp_path: Path) -> None:
    path = tmp_path / "power.csv"
    command = [sys.executable, "-c", RECORD_WITHIN_FILE_LIMIT, str(path), h100(0).uuid]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.startswith("disk ")
    assert str(path) in said


def test_claim_8_a_sensor_that_stops_answering_is_a_lost_gpu_and_its_last_power_is_not_told_as_todays(
    nvml: SimulatedNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llem_runner.power.recorder.STALE_S", 1.0)
    monkeypatch.setattr("llem_runner.power.recorder._LOOK_EVERY_S", 0.1)
    path = tmp_path / "power.csv"
    with Recorder.start(path, [h100(0).uuid], PERIOD_S) as recorder:
        assert recorder.latest() is not None
        # A call into a driver that hangs does not come back: for everybody else the process just stands still.
        os.kill(recorder.pid, signal.SIGSTOP)

        def never_lost() -> bool:
            recorder.check()
            return False

        with pytest.raises(GpuLost, match=f"GPU {h100(0).uuid} .*stopped answering"):
            wait_until(never_lost)
        # However often it is asked: an engine may have swallowed the first word.
        with pytest.raises(GpuLost):
            recorder.check()
        assert recorder.latest() is None
        assert has_ended(recorder.pid)
        recorder.stop()
    assert len(Timeline.read(path).devices[h100(0).uuid]) >= 1


@pytest.mark.usefixtures("nvml")
def test_claim_7_3_a_pause_of_everything_is_no_lost_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llem_runner.power.recorder.STALE_S", 2.0)
    monkeypatch.setattr("llem_runner.power.recorder._LOOK_EVERY_S", 0.0)
    path = tmp_path / "power.csv"
    with Recorder.start(path, [h100(0).uuid], PERIOD_S) as recorder:
        os.kill(recorder.pid, signal.SIGSTOP)
        time.sleep(2.2)
        # The first look after a pause of the whole container may come before the recorder's next reading.
        recorder.check()
        rows = path.read_bytes().count(b"\n")
        os.kill(recorder.pid, signal.SIGCONT)
        wait_until(lambda: path.read_bytes().count(b"\n") > rows)
        recorder.check()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"counter_reset_at_unix_s": 1.0}, "energy counter went backwards"),
        ({"counter_offset_mj": -(10**9)}, "energy counter went backwards"),
        ({"counter_frozen_at_unix_s": 1.0}, "energy counter"),
        ({"faults": (Fault("all", "RESET_REQUIRED"),)}, "cannot be read any more"),
        ({"faults": (Fault("all", "UNINITIALIZED"),)}, "cannot be read any more"),
        ({"faults": (Fault("all", "GPU_IS_LOST"),)}, "cannot be read any more"),
        ({"faults": (Fault("field_values", "UNKNOWN"),)}, "cannot be read any more"),
    ],
    ids=["reset", "backwards", "frozen", "nvml-reset", "nvml-closed", "off-the-bus", "access-lost"],
)
def test_claim_7_3_whatever_breaks_a_board_or_its_counter_is_gpu_lost_and_the_timeline_is_kept(
    nvml: SimulatedNvml, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    board, path = h100(0), tmp_path / "power.csv"
    nvml.write(Settings(boards=(board,)))
    with Recorder.start(path, [board.uuid], PERIOD_S) as recorder:
        wait_until(lambda: path.read_bytes().count(b"\n") > 4)
        now_s = time.time()
        at_once = {name: now_s if name.endswith("_unix_s") else value for name, value in change.items()}
        nvml.write(Settings(boards=(replace(board, **at_once),)))
        wait_until(lambda: not recorder.alive())
        with pytest.raises(GpuLost, match=f"GPU {board.uuid}.*{words}"):
            recorder.check()
        recorder.kill()
    assert len(Timeline.read(path).devices[board.uuid]) >= 4


def test_claim_7_2_period_jitter_and_largest_gap_are_those_that_were_recorded(
    nvml: SimulatedNvml, tmp_path: Path
) -> None:
    path = tmp_path / "power.csv"
    with Recorder.start(path, [h100(0).uuid], PERIOD_S) as recorder:
        wait_until(lambda: path.read_bytes().count(b"\n") > 20)
        os.kill(recorder.pid, signal.SIGSTOP)
        time.sleep(0.4)
        os.kill(recorder.pid, signal.SIGCONT)
        rows = path.read_bytes().count(b"\n")
        wait_until(lambda: path.read_bytes().count(b"\n") > rows + 5)
    even = Timeline.read(path).stats()
    assert even is not None
    assert even.period_s >= PERIOD_S * 0.99
    assert even.largest_gap_s >= 0.4
    assert 0 <= even.jitter_p50_s <= even.jitter_p99_s <= even.largest_gap_s
