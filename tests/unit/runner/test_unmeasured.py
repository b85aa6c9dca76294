"""Every empty part of a result has its warning."""

from __future__ import annotations

from typing import Any

import pytest

from llem_runner import unmeasured
from llem_runner.backends.protocol import BackendFacts
from llem_runner.contract.result import (
    Check,
    DeviceEnergy,
    Energy,
    HostEnergy,
    Memory,
    RecorderStats,
    Thermal,
    Tokens,
    Warmup,
)
from llem_runner.power.boards import Family
from llem_runner.power.sensors import Board

AGREES = Check(name="counter_agrees", passed=True, value=1.0, limit=3.0)
TOKENS = Tokens(input=1, output=1, total=2, cached=0, computed=1, padding_share=0.0)
EVEN = RecorderStats(period_s=0.047, jitter_p50_s=0, jitter_p99_s=0, largest_gap_s=0.05)


def facts(**keys: Any) -> BackendFacts:
    known: dict[str, Any] = {"parameters": 1, "model_bytes": 1}
    return BackendFacts(name="x", version="1", device_used="cpu", effective={}, packages={}, **{**known, **keys})


def workload(**keys: Any) -> set[str]:
    whole: dict[str, Any] = {
        "memory": Memory(peak_allocated_bytes=1),
        "tokens": TOKENS,
        "warmup": Warmup(iterations=5, converged=True, cv=0.01),
        "facts": facts(),
    }
    return {code for code, _ in unmeasured.of_the_workload(**{**whole, **keys})}


def boards(**keys: Any) -> set[str]:
    whole: dict[str, Any] = {
        "thermal": Thermal(start_c=40, max_c=41, throttled=False),
        "memory": Memory(peak_device_bytes=1),
        "recorder": EVEN,
    }
    return {code for code, _ in unmeasured.of_the_boards(**{**whole, **keys})}


def energy(agreement: Check = AGREES, boards: tuple[Board, ...] = (), **keys: Any) -> list[tuple[str, str]]:
    device = DeviceEnergy(uuid="a", index=0, name="x", power_limit_w=keys.pop("limit_w", 700.0))
    known: dict[str, Any] = {"total_j": 1.0, "method": "counter", "cross_check_j": 1.0, "devices": (device,)}
    return list(unmeasured.of_the_energy(Energy(source="nvml", **{**known, **keys}), agreement, boards))


def test_where_everything_is_known_nothing_is_said() -> None:
    assert (workload(), boards(), energy()) == (set(), set(), [])


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"memory": Memory()}, "allocator_unknown"),
        ({"tokens": TOKENS.model_copy(update={"cached": None})}, "cached_tokens_unknown"),
        ({"tokens": TOKENS.model_copy(update={"computed": None})}, "computed_tokens_unknown"),
        ({"facts": facts(parameters=None)}, "model_size_unknown"),
        ({"facts": facts(model_bytes=None)}, "model_size_unknown"),
        ({"warmup": Warmup(iterations=5)}, "warmup_not_watched"),
        ({"warmup": Warmup(iterations=1, converged=False)}, "warmup_cv_unknown"),
    ],
)
def test_what_the_engine_does_not_tell_has_a_warning(keys: dict[str, Any], code: str) -> None:
    assert workload(**keys) == {code}


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ("queue_s", "queue_time_unknown"),
        ("ttft_s", "first_token_time_unknown"),
        ("itl_s", "token_times_unknown"),
    ],
)
def test_claim_8_6_a_time_that_is_not_known_has_a_warning_with_the_reason(part: str, code: str) -> None:
    [(told, message)] = unmeasured.of_the_times({part: "the engine is silent"})
    assert told == code
    assert message.endswith("are unknown: the engine is silent.")


MEASURED = HostEnergy(cpu_j=1.0, dram_j=1.0, source="rapl", estimated=False)


@pytest.mark.parametrize(
    ("energy", "problem", "codes"),
    [
        (MEASURED, None, []),
        (MEASURED.model_copy(update={"dram_j": None}), None, ["memory_energy_unknown"]),
        (HostEnergy(cpu_j=1.0, dram_j=1.0, source="codecarbon", estimated=True), None, []),
        (HostEnergy(source="none", estimated=False), "it is not there", ["host_energy_not_measured"]),
    ],
)
def test_claim_8_9_host_energy_that_is_not_known_has_a_warning_with_the_reason(
    energy: HostEnergy, problem: str | None, codes: list[str]
) -> None:
    told = list(unmeasured.of_the_host(energy, problem))
    assert [code for code, _ in told] == codes
    assert problem is None or problem in told[0][1]


def test_claim_8_5_work_that_was_not_counted_has_a_warning_with_the_reason_and_no_other_has() -> None:
    [(code, message)] = unmeasured.of_the_compute("models of type x are not known to it")
    assert code == "flops_not_counted"
    assert "models of type x" in message
    assert list(unmeasured.of_the_compute(None)) == []


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"thermal": Thermal(throttled=False)}, "temperature_unknown"),
        ({"thermal": Thermal(start_c=1, max_c=1)}, "throttling_unknown"),
        ({"memory": Memory()}, "device_memory_unknown"),
        ({"recorder": None}, "recorder_evenness_unknown"),
    ],
)
def test_what_the_boards_do_not_tell_has_a_warning(keys: dict[str, Any], code: str) -> None:
    assert boards(**keys) == {code}


@pytest.mark.parametrize(
    ("keys", "codes"),
    [
        ({"cross_check_j": None}, ["cross_check_unknown"]),
        ({"method": "power", "cross_check_j": None}, ["bounds_not_proven"]),
        ({"method": "average_power", "cross_check_j": None}, ["bounds_not_proven"]),
        ({"limit_w": None}, ["power_limit_unknown"]),
        ({"total_j": None, "method": None}, []),
    ],
)
def test_what_is_not_known_or_not_proven_of_the_energy_has_a_warning(keys: dict[str, Any], codes: list[str]) -> None:
    assert [code for code, _ in energy(**keys)] == codes


def test_a_counter_that_disagrees_with_the_power_is_told_and_what_each_of_them_is_of() -> None:
    board = Board("a", 0, "GH200", "", Family.HOPPER, False, (), None, "module", "gpu", None)
    disagrees = Check(name="counter_agrees", passed=False, value=33.5, limit=3.0)
    [(code, message)] = energy(disagrees, (board,))
    assert code == "counter_disagrees"
    assert "33.5 %" in message
    assert "The counter is the module's, the power the gpu's." in message
    assert energy(Check(name="counter_agrees", passed=None, value=33.5, limit=3.0), (board,)) == []
