"""What a test can do to simulated boards while a program reads them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from simulated_nvml import Board, Fault, Settings, Square, Trace, build_library, h100
from simulated_nvml.fixtures import SimulatedNvml
from simulated_nvml.nvml_process import NvmlFailure, NvmlProcess

GPU_IS_LOST, UNKNOWN = NvmlFailure(15), NvmlFailure(999)
COUNTER = "nvmlDeviceGetTotalEnergyConsumption"
PATIENCE_S = 20.0


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that must come soon; fail only when it does not come at all."""
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, "what the test waited for did not happen"
        time.sleep(0.002)


def in_force(simulated: SimulatedNvml, nvml: NvmlProcess, board: Board) -> None:
    """Write a board whose temperature is new, and wait until the process has it."""
    simulated.write(Settings(boards=(board,)))
    until(lambda: nvml.ask("nvmlDeviceGetTemperature", 0, uuid=board.uuid) == board.temperature_c)


def test_claim_8_a_gpu_lost_in_the_middle_answers_nothing_any_more(simulated_nvml: SimulatedNvml) -> None:
    lost, other = h100(0), h100(1)
    simulated_nvml.write(Settings(boards=(lost, other)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        assert nvml.ask(COUNTER, uuid=lost.uuid) > 0
        simulated_nvml.write(Settings(boards=(lost.lost(), other)))
        until(lambda: bool(nvml.ask(COUNTER, uuid=lost.uuid) == GPU_IS_LOST))
        calls: list[tuple[str, list[Any]]] = [("FieldValues", [[83]]), ("PowerUsage", []), ("Temperature", [0])]
        calls += [("Name", []), ("Index", []), ("MemoryInfo", []), ("ComputeRunningProcesses", [])]
        for name, more in calls:
            assert nvml.ask(f"nvmlDeviceGet{name}", *more, uuid=lost.uuid) == GPU_IS_LOST
        assert nvml.ask("nvmlDeviceGetHandleByIndex", 0) == GPU_IS_LOST
        assert nvml.ask(COUNTER, uuid=other.uuid) > 0


def test_claim_8_a_gpu_can_be_lost_at_a_moment_that_was_set_before(simulated_nvml: SimulatedNvml) -> None:
    moment = time.time() + 0.3
    board = h100().lost(moment)
    simulated_nvml.write(Settings(boards=(board,)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        answers = []

        def gone() -> bool:
            answers.append(nvml.ask("nvmlDeviceGetFieldValues", [83], uuid=board.uuid))
            return bool(answers[-1] == GPU_IS_LOST)

        until(gone)
    seen_at = [answer[0]["timestamp"] / 1e6 for answer in answers[:-1]]
    assert all(at < moment for at in seen_at)
    assert time.time() >= moment


def test_a_board_that_the_settings_no_longer_name_is_lost_and_can_come_back(simulated_nvml: SimulatedNvml) -> None:
    board = h100(0)
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        assert nvml.ask(COUNTER, uuid=board.uuid) > 0
        simulated_nvml.write(Settings(boards=(h100(1),)))
        until(lambda: bool(nvml.ask(COUNTER, uuid=board.uuid) == GPU_IS_LOST))
        simulated_nvml.write(Settings(boards=(h100(1), board)))
        until(lambda: bool(nvml.ask(COUNTER, uuid=board.uuid) != GPU_IS_LOST))


def test_a_fault_can_pass(simulated_nvml: SimulatedNvml) -> None:
    now = time.time()
    board = h100(faults=(Fault("counter", "TIMEOUT", now - 1, now + 0.2),))
    simulated_nvml.write(Settings(boards=(board,)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        until(lambda: not isinstance(nvml.ask(COUNTER, uuid=board.uuid), NvmlFailure))
        assert time.time() >= now + 0.2


def test_claim_8_a_counter_can_go_backwards(simulated_nvml: SimulatedNvml) -> None:
    board = h100()
    simulated_nvml.write(Settings(boards=(board,)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        before = nvml.ask(COUNTER, uuid=board.uuid)
        in_force(simulated_nvml, nvml, replace(board, temperature_c=41, counter_offset_mj=-1e9))
        assert nvml.ask(COUNTER, uuid=board.uuid) < before


def test_claim_8_a_counter_can_stand_still(simulated_nvml: SimulatedNvml) -> None:
    settings = Settings(boards=(h100(counter_frozen_at_unix_s=time.time() - 5),))
    board = settings.boards[0]
    simulated_nvml.write(settings)
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        answers = nvml.ask(COUNTER, uuid=board.uuid, times=50)
        time.sleep(0.25)
        answers.append(nvml.ask(COUNTER, uuid=board.uuid))
    assert set(answers) == {settings.truth(board.uuid).counter_mj(board.counter_frozen_at_unix_s)}


def test_claim_8_a_counter_can_be_reset(simulated_nvml: SimulatedNvml) -> None:
    reset_at = time.time() - 3
    settings = Settings(boards=(h100(counter_reset_at_unix_s=reset_at),))
    board = settings.boards[0]
    truth = settings.truth(board.uuid)
    simulated_nvml.write(settings)
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        [field] = nvml.ask("nvmlDeviceGetFieldValues", [83], uuid=board.uuid)
    at = field["timestamp"] / 1e6
    assert field["value"] == truth.counter_mj(at)
    assert 0 < field["value"] <= truth.energy_j(reset_at, at) * 1000
    assert truth.counter_mj(reset_at - 1) > 1e9


def test_every_call_takes_its_delay_and_reads_at_its_end(simulated_nvml: SimulatedNvml) -> None:
    board = h100(call_delay_s=0.03)
    simulated_nvml.write(Settings(boards=(board,)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        before_s = time.time()
        answers = nvml.ask("nvmlDeviceGetFieldValues", [83], uuid=board.uuid, times=2)
    first_us, second_us = (fields[0]["timestamp"] for fields in answers)
    assert first_us / 1e6 - before_s >= 0.03
    assert second_us - first_us >= 30_000


def test_settings_that_make_no_sense_stop_a_running_process_loudly_until_they_do(simulated_nvml: SimulatedNvml) -> None:
    board = h100()
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        assert nvml.ask(COUNTER, uuid=board.uuid) > 0
        simulated_nvml.write("[gpu0]\nname = H100 (simulated)\ntemperature = 3\n")
        until(lambda: bool(nvml.ask(COUNTER, uuid=board.uuid) == UNKNOWN))
        simulated_nvml.write(Settings(boards=(board,)))
        until(lambda: bool(nvml.ask(COUNTER, uuid=board.uuid) != UNKNOWN))
    assert f"{simulated_nvml.config}: line 3 makes no sense: temperature = 3" in nvml.errors


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("uuid = X\n", "line 1"),
        ("[gpu]\n", "line 1"),
        ("[gpu0]\nnonsense\n", "line 2"),
        ("[gpu0]\nname = NVIDIA H100\n", "(simulated)"),
        ("[gpu0]\npci_bus_id = front\n", "pci_bus_id"),
        ("[gpu0]\n[gpu1]\nuuid = GPU-51300000-0000-4000-8000-000000000000\n", "same uuid"),
        ("[gpu0]\npower = cosine high_w=3\n", "line 2"),
        ("[gpu0]\npower = square high_w=3\n", "line 2"),
        ("[gpu0]\npower = square high_w=3 period_s=0\n", "line 2"),
        ("[gpu0]\npower = square high_w=3 period_s=1 duty=1.5\n", "line 2"),
        ("[gpu0]\npower = square high_w=3 period_s=1 dutty=0.5\n", "line 2"),
        ("[gpu0]\npower = constant watts=-3\n", "line 2"),
        ("[gpu0]\npower = burst high_w=3 burst_s=1 count=2 period_s=1\n", "line 2"),
        ("[gpu0]\npower = trace 1:x\n", "line 2"),
        ("[gpu0]\npower =\n", "line 2"),
        ("[gpu0]\ncounter_period_s = 0\n", "period"),
        ("[gpu0]\ncounter_jitter_s = 0.06\n", "jitter"),
        ("[gpu0]\ncounter_missed = 1\n", "missed"),
        ("[gpu0]\ninstant_window_s = 0\n", "window"),
        ("[gpu0]\naverage_lag_s = -1\n", "lag"),
        ("[gpu0]\ngain = 0\n", "gain"),
        ("[gpu0]\necc = yes\n", "line 2"),
        ("[gpu0]\nsm_clock_mhz = 5000000000\n", "line 2"),
        ("[gpu0]\nprocess = 4\n", "line 2"),
        ("[gpu0]\nfault = counter\n", "line 2"),
        ("[gpu0]\nfault = counters NOT_SUPPORTED\n", "line 2"),
        ("[gpu0]\nfault = counter NVML_ERROR_NOT_SUPPORTED\n", "line 2"),
        ("[gpu0]\nfault = counter NOT_SUPPORTED soon\n", "line 2"),
    ],
)
def test_settings_that_make_no_sense_are_named_and_never_guessed_at(
    simulated_nvml: SimulatedNvml, text: str, complaint: str
) -> None:
    simulated_nvml.write(text)
    with NvmlProcess(simulated_nvml.env) as nvml:
        assert nvml.ask("nvmlInit") == UNKNOWN
    assert complaint in nvml.errors


def test_a_settings_file_that_is_named_must_be_there(simulated_nvml: SimulatedNvml) -> None:
    simulated_nvml.config.unlink()
    with NvmlProcess(simulated_nvml.env) as nvml:
        assert nvml.ask("nvmlInit") == UNKNOWN
    assert "No such file" in nvml.errors


THREADS = """
import threading, pynvml
pynvml.nvmlInit()
device = pynvml.nvmlDeviceGetHandleByIndex(0)
def read():
    last = 0
    for _ in range(5000):
        field = pynvml.nvmlDeviceGetFieldValues(device, [83, 185, 186])[0]
        assert field.nvmlReturn == 0 and field.value.ullVal >= last, (field.nvmlReturn, field.value.ullVal, last)
        last = field.value.ullVal
    done.append(1)
done = []
threads = [threading.Thread(target=read) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(done))
"""


def test_many_threads_read_while_the_settings_change(simulated_nvml: SimulatedNvml) -> None:
    board = h100(power=(Square(low_w=28.0, high_w=428.0, period_s=0.05), Trace(course=((0.01, 5.0), (0.02, 9.0)))))
    simulated_nvml.write(Settings(boards=(board,)))
    env = {**os.environ, **simulated_nvml.env}
    with subprocess.Popen([sys.executable, "-c", THREADS], env=env, stdout=subprocess.PIPE, text=True) as child:
        temperature_c = 40
        while child.poll() is None:
            temperature_c += 1
            simulated_nvml.write(Settings(boards=(replace(board, temperature_c=temperature_c),)))
            time.sleep(0.005)
        assert child.stdout is not None
        assert child.stdout.read() == "4\n"


def test_the_library_is_built_once(simulated_nvml: SimulatedNvml) -> None:
    library = simulated_nvml.library / "libnvidia-ml.so.1"
    built = library.stat().st_mtime_ns
    build_library.cache_clear()
    assert build_library() == simulated_nvml.library
    assert library.stat().st_mtime_ns == built
