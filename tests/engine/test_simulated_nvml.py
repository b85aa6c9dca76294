"""The simulated NVML library as nvidia-ml-py sees it, unchanged, in processes of its own."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_nvml import (
    Board,
    Burst,
    Constant,
    Fault,
    Process,
    Saw,
    Sensor,
    Settings,
    Square,
    Trace,
    Triangle,
    a100,
    h100,
    p100,
    rtx3090,
    simulated_environment,
)
from simulated_nvml.fixtures import SimulatedNvml
from simulated_nvml.nvml_process import NvmlFailure, NvmlProcess

NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND = NvmlFailure(3), NvmlFailure(6), NvmlFailure(13)
ENERGY_FIELDS = [83, 185, 186]
# What field values and functions ask for, beside the energy; each works on a whole board.
STATE_CALLS: list[tuple[str, tuple[Any, ...], str]] = [
    ("nvmlDeviceGetTemperature", (0,), "temperature"),
    ("nvmlDeviceGetTemperatureV", (0,), "temperature"),
    ("nvmlDeviceGetMemoryInfo", (), "memory"),
    ("nvmlDeviceGetMemoryInfo", (0x02000028,), "memory"),
    ("nvmlDeviceGetUtilizationRates", (), "utilisation"),
    ("nvmlDeviceGetClockInfo", (1,), "clocks"),
    ("nvmlDeviceGetMaxClockInfo", (2,), "clocks"),
    ("nvmlDeviceGetApplicationsClock", (1,), "application_clocks"),
    ("nvmlDeviceGetCurrentClocksThrottleReasons", (), "throttle_reasons"),
    ("nvmlDeviceGetCurrentClocksEventReasons", (), "throttle_reasons"),
    ("nvmlDeviceGetComputeRunningProcesses", (), "processes"),
    ("nvmlDeviceGetGraphicsRunningProcesses", (), "processes"),
    ("nvmlDeviceGetPowerManagementLimit", (), "power_limit"),
    ("nvmlDeviceGetEnforcedPowerLimit", (), "power_limit"),
    ("nvmlDeviceGetPowerManagementDefaultLimit", (), "power_limit"),
    ("nvmlDeviceGetPowerManagementLimitConstraints", (), "power_limit"),
    ("nvmlDeviceGetEccMode", (), "ecc"),
    ("nvmlDeviceGetMigMode", (), "mig"),
    ("nvmlDeviceGetPersistenceMode", (), "persistence"),
    ("nvmlDeviceGetComputeMode", (), "compute_mode"),
    ("nvmlDeviceGetCurrPcieLinkGeneration", (), "pcie"),
    ("nvmlDeviceGetCurrPcieLinkWidth", (), "pcie"),
    ("nvmlDeviceGetMaxPcieLinkGeneration", (), "pcie"),
    ("nvmlDeviceGetMaxPcieLinkWidth", (), "pcie"),
    ("nvmlDeviceGetVbiosVersion", (), "vbios"),
    ("nvmlDeviceGetSerial", (), "serial"),
    ("nvmlDeviceGetPciInfo", (), "pci"),
    ("nvmlDeviceGetName", (), "identity"),
    ("nvmlDeviceGetUUID", (), "identity"),
    ("nvmlDeviceGetIndex", (), "identity"),
    ("nvmlDeviceGetMinorNumber", (), "identity"),
    ("nvmlDeviceGetBrand", (), "identity"),
    ("nvmlDeviceGetArchitecture", (), "identity"),
    ("nvmlDeviceGetCudaComputeCapability", (), "identity"),
    ("nvmlDeviceGetPowerUsage", (), "power_usage"),
    ("nvmlDeviceGetTotalEnergyConsumption", (), "counter"),
    ("nvmlDeviceGetFieldValues", (ENERGY_FIELDS,), "field_values"),
]


def readings(nvml: NvmlProcess, board: Board, times: int = 1) -> list[list[dict[str, int]]]:
    answers = nvml.ask("nvmlDeviceGetFieldValues", ENERGY_FIELDS, uuid=board.uuid, times=times)
    return answers if times > 1 else [answers]


def sensors_of_every_kind() -> tuple[Board, ...]:
    """Boards whose steps are so quick that some hundred readings see many of them."""
    quick = Sensor(period_s=0.0031, jitter_s=0.0015, lag_s=0.0007, window_s=0.0025, missed=0.2)
    return (
        h100(0, power=(Constant(watts=311.1),)),
        h100(1, power=(Square(low_w=100.0, high_w=500.0, period_s=0.0075, duty=0.3),), counter=quick, instant=quick),
        a100(2, power=(Saw(from_w=40.0, to_w=390.0, period_s=0.011, phase_s=0.002),), counter=quick, average=quick),
        a100(3, power=(Triangle(to_w=400.0, period_s=0.013),), gain=0.9609, counter=quick, instant=quick),
        rtx3090(4, power=(Burst(high_w=350.0, burst_s=1e-3, gap_s=2e-3, count=3, period_s=0.02),), counter=quick),
        rtx3090(5, power=(Trace(course=((0.002, 600.0), (0.009, 350.0, 250.0))),), counter=replace(quick, phase_s=0.3)),
        h100(6, idle_w=0.0, power=(Square(high_w=1e-3, period_s=1e-4), Constant(watts=1e-5)), counter=quick),
        h100(7, power=(Saw(to_w=100.0, period_s=0.02), Square(high_w=300.0, period_s=0.004)), counter_offset_mj=1e9),
    )


def test_claim_8_readings_in_c_are_those_of_the_exact_truth_in_python(simulated_nvml: SimulatedNvml) -> None:
    settings = Settings(boards=sensors_of_every_kind(), epoch_unix_s=1_750_000_000)
    simulated_nvml.write(settings)
    seen: dict[str, set[int]] = {}
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        for board in settings.boards:
            truth = settings.truth(board.uuid)
            is_quick = board.counter.period_s < 0.01 and board.idle_w > 0
            for _ in range(100):
                for counter, average, instant in readings(nvml, board, times=400):
                    at = counter["timestamp"] / 1e6
                    assert (counter["code"], average["code"], instant["code"]) == (0, 0, 0)
                    assert counter["value"] == truth.counter_mj(at)
                    assert average["value"] == truth.power_average_mw(at)
                    assert instant["value"] == truth.power_instant_mw(at)
                    seen.setdefault(board.uuid, set()).add(counter["value"])
                # A fast machine reads 400 times within one step: then it has to look once more.
                if not is_quick or len(seen[board.uuid]) > 1:
                    break
            assert len(seen[board.uuid]) > 1 or not is_quick


@pytest.mark.parametrize("lag_s", [0.0, 0.015, 0.125])
def test_claim_8_a_counter_step_holds_the_energy_up_to_the_lag_before_it(
    simulated_nvml: SimulatedNvml, lag_s: float
) -> None:
    shape = Square(low_w=100.0, high_w=500.0, period_s=0.75)
    board = h100(power=(shape,), counter=Sensor(period_s=0.02, lag_s=lag_s))
    settings = Settings(boards=(board,))
    simulated_nvml.write(settings)
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        answers = readings(nvml, board, times=50)
    for counter, _, _ in answers:
        now = counter["timestamp"] / 1e6
        step = settings.epoch_unix_s + math.floor((now - settings.epoch_unix_s) / 0.02) * 0.02
        energy_j = settings.truth(board.uuid).energy_j(settings.epoch_unix_s, step - lag_s)
        assert counter["value"] == pytest.approx(energy_j * 1000, abs=2)


def test_claim_8_power_readings_are_means_over_their_windows_and_power_usage_is_either(
    simulated_nvml: SimulatedNvml,
) -> None:
    shape = Square(low_w=0.0, high_w=400.0, period_s=1.0)
    boards = tuple(make(i, idle_w=50.0, power=(shape,)) for i, make in enumerate((h100, a100)))
    settings = Settings(boards=boards)
    simulated_nvml.write(settings)
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        for board in boards:
            [[_, average, instant]] = readings(nvml, board)
            # 1 s of a 1 s square is always its mean; 25 ms of it are high, low, or on an edge.
            assert average["value"] == 250_000
            assert 50_000 <= instant["value"] <= 450_000
            usage = nvml.ask("nvmlDeviceGetPowerUsage", uuid=board.uuid)
            assert (usage == 250_000) == (board.power_usage == "average")


def test_claim_8_two_processes_read_the_same_counter(simulated_nvml: SimulatedNvml) -> None:
    frozen = h100(counter_frozen_at_unix_s=time.time(), power=(Saw(to_w=500.0, period_s=0.5),))
    simulated_nvml.write(Settings(boards=(frozen,)))
    with NvmlProcess.opened(simulated_nvml.env) as one, NvmlProcess.opened(simulated_nvml.env) as other:
        function = "nvmlDeviceGetTotalEnergyConsumption"
        assert one.ask(function, uuid=frozen.uuid) == other.ask(function, uuid=frozen.uuid)


def test_without_a_settings_file_there_is_one_h100_at_constant_power() -> None:
    if Path("/etc/llem-test-nvml/nvml.conf").exists():
        pytest.skip("this machine has a settings file at the default place")
    env = {**simulated_environment(Path("unused")), "LLEM_TEST_NVML_CONFIG": ""}
    with NvmlProcess.opened(env) as nvml:
        assert nvml.ask("nvmlDeviceGetCount") == 1
        uuid = h100().uuid
        assert nvml.ask("nvmlDeviceGetName", uuid=uuid) == "NVIDIA H100 80GB HBM3 (simulated)"
        assert [f["value"] for f in nvml.ask("nvmlDeviceGetFieldValues", [185, 186], uuid=uuid)] == [300_000, 300_000]


def test_python_and_c_agree_on_the_default_board(simulated_nvml: SimulatedNvml) -> None:
    simulated_nvml.write("[gpu0]\npower = constant watts=228\n")
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        by_default = [nvml.ask(function, *more, uuid=h100().uuid) for function, more, _ in STATE_CALLS[:-2]]
    simulated_nvml.write(Settings(boards=(h100(),)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        assert [nvml.ask(function, *more, uuid=h100().uuid) for function, more, _ in STATE_CALLS[:-2]] == by_default


def test_devices_are_numbered_by_pci_bus_id_and_found_by_each_of_their_names(simulated_nvml: SimulatedNvml) -> None:
    late, early = h100(0, pci_bus_id="00000000:C1:00.0"), a100(1, pci_bus_id="00000000:0A:00.0")
    simulated_nvml.write(Settings(boards=(late, early)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        assert nvml.ask("nvmlDeviceGetIndex", uuid=early.uuid) == 0
        assert nvml.ask("nvmlDeviceGetIndex", uuid=late.uuid) == 1
        assert nvml.ask("nvmlDeviceGetPciInfo", uuid=late.uuid)["busId"] == "00000000:C1:00.0"
        assert nvml.ask("nvmlDeviceGetPciInfo", uuid=late.uuid)["busIdLegacy"] == "0000:C1:00.0"
        assert nvml.ask("nvmlDeviceGetHandleByPciBusId", "0000:c1:00.0") == "device"
        assert nvml.ask("nvmlDeviceGetHandleByPciBusId", "0000:c2:00.0") == NOT_FOUND
        assert nvml.ask("nvmlDeviceGetHandleByUUID", "GPU-none") == NOT_FOUND
        assert nvml.ask("nvmlDeviceGetHandleByIndex", 2) == NvmlFailure(2)


@pytest.mark.parametrize(
    ("variable", "shown"),
    [
        ("all", [0, 1, 2]),
        ("", [0, 1, 2]),
        (h100(1).uuid, [1]),
        (f"{h100(2).uuid},{h100(0).uuid}", [0, 2]),
        ("1,2", [1, 2]),
        ("none", []),
        ("void", []),
        ("GPU-5130", []),
    ],
)
def test_only_visible_devices_are_shown(simulated_nvml: SimulatedNvml, variable: str, shown: list[int]) -> None:
    boards = tuple(h100(number) for number in range(3))
    simulated_nvml.write(Settings(boards=boards))
    with NvmlProcess.opened({**simulated_nvml.env, "NVIDIA_VISIBLE_DEVICES": variable}) as nvml:
        assert nvml.ask("nvmlDeviceGetCount") == len(shown)
        for number, board in enumerate(boards):
            index = nvml.ask("nvmlDeviceGetIndex", uuid=board.uuid)
            assert index == (shown.index(number) if number in shown else NOT_FOUND)


def test_a_board_answers_what_its_settings_say(simulated_nvml: SimulatedNvml) -> None:
    board = h100(
        temperature_c=71,
        memory_total_bytes=1000,
        memory_used_bytes=300,
        memory_reserved_bytes=100,
        utilisation_percent=97,
        memory_utilisation_percent=55,
        sm_clock_mhz=1755,
        max_memory_clock_mhz=2700,
        application_sm_clock_mhz=1900,
        throttle_reasons=0x28,
        processes=(Process(4711, 256), Process(4712, 44)),
        power_limit_w=500.5,
        ecc=False,
        mig=True,
        persistence=False,
        compute_mode=3,
        pcie_generation=4,
        pcie_width=8,
        vbios_version="96.1",
        serial="42",
        minor_number=5,
        brand=2,
        architecture=10,
        compute_capability="10.3",
    )
    simulated_nvml.write(
        Settings(boards=(board,), driver_version="1.2", nvml_version="13.1.2", cuda_driver_version=12040)
    )
    processes = [
        {"pid": pid, "usedGpuMemory": used, "gpuInstanceId": 2**32 - 1, "computeInstanceId": 2**32 - 1}
        for pid, used in ((4711, 256), (4712, 44))
    ]
    expected = [71, 71, {"total": 1000, "free": 600, "used": 400}]
    expected += [{"version": 0x02000028, "total": 1000, "reserved": 100, "free": 600, "used": 300}]
    expected += [{"gpu": 97, "memory": 55}, 1755, 2700, 1900, 0x28, 0x28, processes, []]
    expected += [500_500, 500_500, 700_000, [200_000, 700_000], [0, 0], [1, 1], 0, 3, 4, 8, 5, 16, "96.1", "42"]
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        found = [nvml.ask(function, *more, uuid=board.uuid) for function, more, _ in STATE_CALLS[: len(expected)]]
        identity = ("MinorNumber", "Brand", "Architecture", "CudaComputeCapability")
        names = [nvml.ask(f"nvmlDeviceGet{name}", uuid=board.uuid) for name in identity]
        system = [nvml.ask(f"nvmlSystemGet{name}") for name in ("DriverVersion", "NVMLVersion", "CudaDriverVersion_v2")]
    assert found == expected
    assert names == [5, 2, 10, [10, 3]]
    assert system == ["1.2", "13.1.2", 12040]


def test_claim_8_each_reading_can_be_unsupported_by_itself(simulated_nvml: SimulatedNvml) -> None:
    kinds = sorted({reading for _, _, reading in STATE_CALLS})
    boards = tuple(h100(i, faults=(Fault(reading, "NOT_SUPPORTED"),)) for i, reading in enumerate(kinds))
    simulated_nvml.write(Settings(boards=boards))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        for board, unsupported in zip(boards, kinds, strict=True):
            for function, more, reading in STATE_CALLS:
                answer = nvml.ask(function, *more, uuid=board.uuid)
                assert (answer == NOT_SUPPORTED) == (reading == unsupported), (unsupported, function)


def test_claim_8_fields_answer_one_by_one(simulated_nvml: SimulatedNvml) -> None:
    board = h100(faults=(Fault("counter", "NOT_SUPPORTED"), Fault("power_instant", "NO_PERMISSION")))
    simulated_nvml.write(Settings(boards=(board,)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        fields = nvml.ask("nvmlDeviceGetFieldValues", [83, 185, 186, 9999], uuid=board.uuid)
        assert [field["code"] for field in fields] == [3, 0, 4, 3]


def test_claim_8_a_board_without_a_counter_has_power_usage_only(simulated_nvml: SimulatedNvml) -> None:
    board = p100()
    simulated_nvml.write(Settings(boards=(board,)))
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        assert nvml.ask("nvmlDeviceGetTotalEnergyConsumption", uuid=board.uuid) == NOT_SUPPORTED
        assert [[field["code"] for field in fields] for fields in readings(nvml, board)] == [[3, 3, 3]]
        assert nvml.ask("nvmlDeviceGetPowerUsage", uuid=board.uuid) == 254_000


def test_scopes_answer_for_the_gpu_or_for_its_module(simulated_nvml: SimulatedNvml) -> None:
    both = h100(0, counter_scope="both", power_scope="both", module_extra_w=55.0)
    module = h100(1, counter_scope="module", power_scope="module", module_extra_w=55.0)
    settings = Settings(boards=(both, module))
    simulated_nvml.write(settings)
    fields = [[185, 0], [185, 1], [83, 0], [83, 1], [185, 2]]
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        gpu_w, module_w, gpu_mj, module_mj, other = nvml.ask("nvmlDeviceGetFieldValues", fields, uuid=both.uuid)
        at = gpu_mj["timestamp"] / 1e6
        assert (gpu_w["value"], module_w["value"], other["code"]) == (300_000, 355_000, 3)
        assert gpu_mj["value"] == settings.truth(both.uuid).counter_mj(at)
        assert module_mj["value"] == settings.truth(both.uuid).counter_mj(at, module=True) > gpu_mj["value"]
        codes = [field["code"] for field in nvml.ask("nvmlDeviceGetFieldValues", fields, uuid=module.uuid)]
        assert codes == [3, 0, 3, 0, 3]
        assert nvml.ask("nvmlDeviceGetPowerUsage", uuid=module.uuid) == 355_000


def test_a_library_without_the_energy_symbols_is_told_from_one_that_lacks_the_reading(tmp_path: Path) -> None:
    config = tmp_path / "nvml.conf"
    board = h100()
    Settings(boards=(board,)).write(config)
    with NvmlProcess.opened(simulated_environment(config, "no-energy-symbols")) as nvml:
        assert nvml.ask("nvmlDeviceGetTotalEnergyConsumption", uuid=board.uuid) == FUNCTION_NOT_FOUND
        assert nvml.ask("nvmlDeviceGetFieldValues", ENERGY_FIELDS, uuid=board.uuid) == FUNCTION_NOT_FOUND
        assert nvml.ask("nvmlDeviceGetPowerUsage", uuid=board.uuid) == 300_000


@pytest.mark.parametrize(
    ("code", "number"), [("DRIVER_NOT_LOADED", 9), ("LIB_RM_VERSION_MISMATCH", 18), ("UNKNOWN", 999)]
)
def test_nvml_that_can_not_be_initialised_says_why_and_works_once_it_can(
    simulated_nvml: SimulatedNvml, code: str, number: int
) -> None:
    simulated_nvml.write(Settings(boards=(h100(),), faults=(Fault("init", code),)))
    with NvmlProcess(simulated_nvml.env) as nvml:
        assert nvml.ask("nvmlInit") == NvmlFailure(number)
        assert nvml.ask("nvmlDeviceGetCount") == NvmlFailure(1)
        simulated_nvml.write(Settings(boards=(h100(),)))
        assert nvml.ask("nvmlInit") is None
        assert nvml.ask("nvmlDeviceGetCount") == 1


def test_nvml_is_uninitialised_before_the_first_init_and_after_the_last_shutdown(simulated_nvml: SimulatedNvml) -> None:
    with NvmlProcess.opened(simulated_nvml.env) as nvml:
        nvml.ask("nvmlInit")
        assert nvml.ask("nvmlShutdown") is None
        assert nvml.ask("nvmlDeviceGetCount") == 1
        assert nvml.ask("nvmlShutdown") is None
        assert nvml.ask("nvmlDeviceGetCount") == NvmlFailure(1)
        assert nvml.ask("nvmlShutdown") == NvmlFailure(1)
