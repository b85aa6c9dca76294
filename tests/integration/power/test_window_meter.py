"""Zeus and CodeCarbon themselves, in the process around the window, on the simulated NVML library."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from simulated_nvml import Board as SimulatedBoard
from simulated_nvml import Fault, Settings, Square, a100, h100, p100
from simulated_nvml.fixtures import SimulatedNvml

from llem_runner.contract import FailureKind, RunFailed
from llem_runner.power.boards import Family
from llem_runner.power.sensors import Board
from llem_runner.power.window_meter import Metered, Tool, WindowMeter

WINDOW_S = 1.0
# Every edge of the window may miss a step of the counter and its lag, and a busy machine some more.
EDGES_S = 0.6
TOOLS = [
    pytest.param(tool, marks=pytest.mark.skipif(find_spec(tool) is None, reason=f"{tool} is not installed"))
    for tool in ("zeus", "codecarbon")
]
Measure = Callable[..., Metered]


def described(index: int, board: SimulatedBoard) -> Board:
    return Board(board.uuid, index, board.name, "", Family.HOPPER, True, (), None, "gpu", "gpu", None)


@pytest.fixture
def nvml(simulated_nvml: SimulatedNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimulatedNvml:
    """The simulated library, as the meter's process inherits it, with an `nvidia-smi` that can be run."""
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\nexit 0\n")
    smi.chmod(0o755)
    for name, value in simulated_nvml.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(smi.parent), prepend=os.pathsep)
    return simulated_nvml


@pytest.fixture
def measure(nvml: SimulatedNvml) -> Measure:
    """A tool's whole life: what it says of a window on `chosen` of the boards."""

    def _measure(tool: Tool, boards: tuple[SimulatedBoard, ...], chosen: tuple[int, ...]) -> Metered:
        nvml.write(Settings(boards=boards))
        meter = WindowMeter.start(tool, [described(index, boards[index]) for index in chosen])
        try:
            meter.begin()
            time.sleep(WINDOW_S)
            meter.end()
            return meter.reading()
        finally:
            meter.close()
            meter.close()

    return _measure


def energy(watts: float) -> object:
    return pytest.approx(watts * WINDOW_S, abs=watts * EDGES_S)


@pytest.mark.parametrize("tool", TOOLS)
def test_claim_7_14_a_tool_measures_the_board_of_the_run_and_no_other(
    tool: Tool, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An engine's choice of boards must not shift the numbers by which they are named.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    boards = (h100(0, idle_w=1000.0, power=()), h100(1, idle_w=200.0, power=()))
    found = measure(tool, boards, (1,))
    assert found.problem is None
    assert found.source == tool
    assert found.total_j == energy(200.0)
    assert found.by_board_j == {boards[1].uuid: found.total_j}


@pytest.mark.parametrize("tool", TOOLS)
def test_claim_7_14_boards_are_added_up_and_told_apart_by_zeus_alone(tool: Tool, measure: Measure) -> None:
    boards = (h100(0, idle_w=100.0, power=()), a100(1, idle_w=300.0, power=()))
    found = measure(tool, boards, (0, 1))
    assert found.total_j == energy(400.0)
    if tool == "zeus":
        assert found.by_board_j == {boards[0].uuid: energy(100.0), boards[1].uuid: energy(300.0)}
    else:
        assert not found.by_board_j


@pytest.mark.parametrize("tool", TOOLS[1:])
def test_claim_7_14_codecarbon_has_gpu_energy_only_where_it_reads_a_counter(tool: Tool, measure: Measure) -> None:
    found = measure(tool, (p100(0),), (0,))
    assert found.total_j is None
    assert "reads no energy counter of GPU 0" in str(found.problem)


@pytest.mark.parametrize("tool", TOOLS[1:])
def test_claim_7_14_codecarbon_that_finds_no_gpu_says_what_it_misses(
    tool: Tool, nvml: SimulatedNvml, measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "nvidia-smi" in str(measure(tool, (h100(0),), (0,)).problem)


@pytest.mark.parametrize("tool", TOOLS[:1])
def test_claim_7_14_zeus_integrates_polled_power_where_there_is_no_counter(tool: Tool, measure: Measure) -> None:
    # It goes by the architecture: 4 is Pascal.
    busy = Square(low_w=100.0, high_w=200.0, period_s=0.3)
    found = measure(tool, (h100(0, idle_w=0.0, power=(busy,), architecture=4),), (0,))
    assert found.problem is None
    assert found.total_j == energy(150.0)
    # Of a steady power it sees no change, and says 0 J: that is no measurement.
    steady = measure(tool, (h100(0, idle_w=150.0, power=(), architecture=4),), (0,))
    assert steady.total_j is None
    assert "0 J" in str(steady.problem)
    # Of a board without those power fields it reads nothing (Zeus 0.16).
    assert measure(tool, (p100(0),), (0,)).problem


@pytest.mark.parametrize("tool", TOOLS)
def test_claim_7_14_a_counter_that_fails_in_the_window_leaves_no_energy_and_a_reason(
    tool: Tool, nvml: SimulatedNvml
) -> None:
    board = h100(0)
    nvml.write(Settings(boards=(board,)))
    meter = WindowMeter.start(tool, [described(0, board)])
    meter.begin()
    nvml.write(Settings(boards=(board.with_faults(Fault("counter", "UNKNOWN")),)))
    time.sleep(0.1)
    meter.end()
    found = meter.reading()
    meter.close()
    assert found.total_j is None
    assert found.problem


def test_claim_7_14_a_tool_that_is_not_installed_is_a_backend_error_that_says_what_to_install(
    nvml: SimulatedNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zeus.py").write_text("raise ImportError('no such thing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(RunFailed, match=r"no such thing.*pip install 'llem\[zeus\]'") as failed:
        WindowMeter.start("zeus", [described(0, h100(0))])
    assert failed.value.kind is FailureKind.BACKEND


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ("exit 0", "zeus did not answer"),
        ("echo no JSON; cat", "zeus answered no JSON"),
        ("echo '{}'; echo '{}'; echo '{\"total_j\": NaN, \"by_index_j\": {}}'", "zeus answered"),
        ("echo '{}'; echo '{}'; echo '{\"total_j\": -3.0, \"by_index_j\": {}}'", "zeus answered"),
        ("echo '{}'; echo '{}'; echo '{\"total_j\": 1, \"by_index_j\": {\"7\": 1}}'", "zeus answered"),
        ("echo '{}'; echo '{}'; echo '{\"problem\": \"it broke\"}'", "it broke"),
    ],
    ids=["silent", "no-json", "nan", "negative", "another-board", "problem"],
)
def test_an_answer_that_makes_no_sense_leaves_the_energy_unknown_with_the_reason(
    answers: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/sh")
    monkeypatch.setattr("llem_runner.power.window_meter.CHILD_ARGUMENTS", ["-c", f"{answers}; cat > /dev/null"])
    meter = WindowMeter.start("zeus", [described(0, h100(0))])
    meter.begin()
    meter.end()
    found = meter.reading()
    meter.close()
    assert found.total_j is None
    assert problem in str(found.problem)
