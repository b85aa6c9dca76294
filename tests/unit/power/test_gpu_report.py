"""What was found of a board is judged against what llem assumes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.gpu.__main__ import write
from tests.gpu.measure import columns
from tests.gpu.report import checks, markdown

from llem_runner.power.boards import Family, board_facts
from llem_runner.power.sensors import Board

BOARD = Board(
    "GPU-1", 0, "NVIDIA H100 80GB HBM3", "", Family.HOPPER, False, (), "580.1", "gpu", "gpu", None
)  # fmt: skip


def found(**changes: Any) -> dict[str, Any]:
    beside = {"length_s": 1.0, "reference_j": 300.0, "zeus": 0.04, "ours": 0.002, "half_width": 0.05, "holds": True}
    counter = {
        "period_s": 0.09998, "period_p10_s": 0.0978, "period_p90_s": 0.101, "unit_mj": 1, "lag_s": 0.015,
        "lag_low_s": 0.012, "lag_high_s": 0.019, "idle_w": 90.0, "load_w": 540.0, "drift_w": 3.0,
        "begin_s": 0.0, "length_s": 30.0,
    }  # fmt: skip
    return {
        "counter_scope": "gpu",
        "power_scope": "gpu",
        "missing": {},
        "assumed": {
            "family": "hopper",
            "lag_ms": {"low": 5, "middle": 15, "high": 30},
            "instant_window_ms": {"low": 25, "middle": 25, "high": 25},
        },
        "counter": counter,
        "power_instant_w": {"column": "power_instant_w", "update_s": 0.1, "window_s": 0.027, "lag_s": 0.01},
        "integration": {"verdict": "all", "left_by_all": 0.02, "left_by_part": 0.3},
        "zeus": [beside, {**beside, "ours": 0.004}],
        "speed": {"ratio": 0.999, "lower": 0.99, "upper": 1.01, "pairs": 40, "tokens_per_s": 2000.0},
        **changes,
    }


def test_claim_7_15_a_board_as_it_is_assumed_passes_every_check() -> None:
    assert [must for must, _, holds in checks(found()) if not holds] == []
    assert len(list(checks(found()))) == 5
    assert "does not hold" not in "\n".join(markdown(found()))


@pytest.mark.parametrize(
    ("changes", "must"),
    [
        ({"counter": {**found()["counter"], "lag_s": 0.08}}, "counter's lag"),
        ({"power_instant_w": {**found()["power_instant_w"], "window_s": 0.1}}, "instant reading's window"),
        ({"integration": {"verdict": "part", "left_by_all": 0.3, "left_by_part": 0.01}}, "adds up all"),
        ({"zeus": [{**found()["zeus"][0], "holds": False}]}, "bounds reach"),
        ({"speed": {**found()["speed"], "ratio": 0.95, "upper": 0.96}}, "tokens/s"),
    ],
)
def test_claim_7_15_what_does_not_hold_is_said(changes: dict[str, Any], must: str) -> None:
    [failed] = [words for words, _, holds in checks(found(**changes)) if not holds]
    assert must in failed
    assert any(must in line and "**does not hold**" in line for line in markdown(found(**changes)))


def test_claim_7_15_what_could_not_be_found_is_named_with_the_reason() -> None:
    without = {name: part for name, part in found().items() if name != "zeus"}
    text = "\n".join(markdown({**without, "missing": {"zeus": "zeus is needed"}}))
    assert "Not found: zeus: zeus is needed." in text


def test_claim_7_15_the_file_has_what_the_validation_page_takes_in(tmp_path: Path) -> None:
    content = json.loads(write(found(), BOARD, tmp_path).read_text())
    assert set(content) == {"made", "device", "found", "markdown"}
    assert set(content["made"]) == {"date", "machine", "versions"}
    assert content["device"] == "NVIDIA H100 80GB HBM3, driver 580.1"
    assert (tmp_path / "gpu.md").read_text().startswith("# NVIDIA H100 80GB HBM3, driver 580.1, 20")


@pytest.mark.parametrize(
    ("name", "quick", "slow"),
    [
        ("NVIDIA A100-SXM4-80GB", ("power_instant_w", "power_w"), ("power_average_w",)),
        ("NVIDIA GeForce RTX 3090", ("power_instant_w",), ("power_w", "power_average_w")),
    ],
)
def test_a_plain_power_reading_means_what_its_family_makes_of_it(
    name: str, quick: tuple[str, ...], slow: tuple[str, ...]
) -> None:
    readings = ("counter_mj", "power_w", "power_average_w", "power_instant_w")
    board = Board("GPU-1", 0, name, "", Family.UNKNOWN, False, readings, None, "gpu", "gpu", None)
    assert columns(board, board_facts(name)) == (quick, slow)
