"""What a board's name says of its sensors."""

from __future__ import annotations

import pytest

from llem_runner.power.boards import Family, PowerMeaning, board_facts, family_of, is_simulated


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("NVIDIA H100 80GB HBM3", Family.HOPPER),
        ("NVIDIA H100 80GB HBM3 (simulated)", Family.HOPPER),
        ("H100 (simulated)", Family.HOPPER),
        ("NVIDIA H200", Family.HOPPER),
        ("NVIDIA GH200 480GB", Family.HOPPER),
        ("NVIDIA A100-SXM4-80GB", Family.GA100),
        ("NVIDIA A30", Family.GA100),
        ("NVIDIA A10", Family.AMPERE),
        ("NVIDIA RTX A3000 Laptop GPU", Family.AMPERE),
        ("NVIDIA RTX A6000", Family.AMPERE),
        ("NVIDIA GeForce RTX 3090", Family.AMPERE),
        ("NVIDIA GeForce RTX 4090", Family.ADA),
        ("NVIDIA RTX 6000 Ada Generation", Family.ADA),
        ("NVIDIA L4", Family.ADA),
        ("NVIDIA L40S", Family.ADA),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", Family.BLACKWELL),
        ("NVIDIA B200", Family.BLACKWELL),
        ("NVIDIA GeForce RTX 5090", Family.BLACKWELL),
        ("Tesla V100-SXM2-16GB", Family.VOLTA),
        ("Tesla T4", Family.TURING),
        ("Quadro RTX 6000", Family.TURING),
        ("Tesla P100-PCIE-16GB", Family.PASCAL),
        ("Tesla P4", Family.PASCAL),
        ("Quadro RTX 3000", Family.TURING),
        ("Quadro RTX 4000", Family.TURING),
        ("Quadro RTX 5000", Family.TURING),
        ("NVIDIA TITAN RTX", Family.TURING),
        ("NVIDIA T400 4GB", Family.TURING),
        ("T600 Laptop GPU", Family.TURING),
        ("NVIDIA T1000 8GB", Family.TURING),
        ("Quadro T2000", Family.TURING),
        ("NVIDIA GeForce MX450", Family.TURING),
        ("NVIDIA GeForce GTX 1650", Family.TURING),
        ("NVIDIA GeForce RTX 2080 Ti", Family.TURING),
        ("NVIDIA GeForce RTX 2050", Family.AMPERE),
        ("NVIDIA GeForce MX570", Family.AMPERE),
        ("NVIDIA RTX A1000", Family.AMPERE),
        ("NVIDIA RTX A4000", Family.AMPERE),
        ("NVIDIA A2", Family.AMPERE),
        ("NVIDIA A40", Family.AMPERE),
        ("NVIDIA RTX 2000 Ada Generation", Family.ADA),
        ("NVIDIA RTX 4000 SFF Ada Generation", Family.ADA),
        ("NVIDIA RTX 5000 Ada Generation", Family.ADA),
        ("NVIDIA RTX 500 Ada Generation Laptop GPU", Family.ADA),
        ("NVIDIA RTX PRO 4000 Blackwell", Family.BLACKWELL),
        ("NVIDIA GB200", Family.BLACKWELL),
        ("NVIDIA TITAN V", Family.VOLTA),
        ("Quadro GV100", Family.VOLTA),
        ("NVIDIA TITAN Xp", Family.PASCAL),
        ("NVIDIA TITAN X (Pascal)", Family.PASCAL),
        ("NVIDIA GeForce GT 1030", Family.PASCAL),
        ("NVIDIA GeForce MX350", Family.PASCAL),
        ("NVIDIA GeForce GTX TITAN X", Family.MAXWELL),
        ("Tesla M40", Family.MAXWELL),
        ("Tesla M60", Family.MAXWELL),
        ("NVIDIA GeForce GTX 980", Family.MAXWELL),
        ("Tesla K80", Family.UNKNOWN),
        ("a board from the future", Family.UNKNOWN),
        ("", Family.UNKNOWN),
    ],
)
def test_the_family_is_found_by_a_part_of_the_name(name: str, family: Family) -> None:
    assert family_of(name) is family


@pytest.mark.parametrize(
    ("name", "lag_ms", "instant_window_ms", "power_usage"),
    [
        ("NVIDIA H100 80GB HBM3", (5, 15, 30), 25, PowerMeaning.AVERAGE),
        ("NVIDIA A100-SXM4-80GB", (67, 125, 179), 25, PowerMeaning.INSTANT),
        ("NVIDIA GeForce RTX 3090", (0, 75, 150), 100, PowerMeaning.AVERAGE),
        ("Tesla V100-SXM2-16GB", (0, 75, 150), None, PowerMeaning.INSTANT),
        ("Tesla M40", (0, 75, 150), None, PowerMeaning.INSTANT),
        ("?", (0, 75, 150), None, PowerMeaning.AVERAGE),
    ],
)
def test_lag_window_and_meaning_follow_from_the_family(
    name: str, lag_ms: tuple[float, float, float], instant_window_ms: float | None, power_usage: PowerMeaning
) -> None:
    facts = board_facts(name)
    lag, window = facts.counter_lag_ms, facts.instant_window_ms
    assert (lag.low, lag.middle, lag.high) == lag_ms
    assert (window.low == window.high) is (instant_window_ms is not None)
    assert instant_window_ms in (None, window.middle)
    assert facts.power_usage is power_usage


def test_a_board_is_simulated_by_its_name_or_by_the_marker() -> None:
    assert is_simulated("NVIDIA H100 (Simulated)", {})
    assert is_simulated("NVIDIA H100", {"LLEM_SIMULATED_NVML": "1"})
    assert not is_simulated("NVIDIA H100", {"LLEM_SIMULATED_NVML": "0"})
    assert not is_simulated("NVIDIA H100", {})
