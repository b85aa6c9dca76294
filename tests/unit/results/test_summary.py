"""The table in the terminal."""

from __future__ import annotations

from typing import Any

import pytest
from results_factory import EXPERIMENT_ID, START_S, cycles

from llem.results.cells import digits
from llem.results.study_result import RunOutcome, StudyRecord, build_study_result
from llem.results.summary import Summary, summarise

NO_GPU: dict[str, Any] = {
    **{f"energy.{name}": None for name in ("method", "total_j", "lower_j", "upper_j", "per_output_token_j")},
    "energy.source": "none",
    "energy.devices": [],
    "device.used": "cpu",
    "quality.level": "D",
    "host_energy": {"cpu_j": 1000.0, "dram_j": 500.0, "source": "codecarbon", "estimated": True},
}


def table(values_j: list[float], changes: dict[str, Any] | None = None, swept: dict[str, Any] | None = None) -> Summary:
    runs = cycles(values_j, changes)
    outcomes = [RunOutcome(run.run_id, EXPERIMENT_ID, "completed", swept or {}, run) for run in runs]
    failed = RunOutcome("f-c1", "f" * 12, "failed", swept or {}, None, "model", "gone")
    return summarise(build_study_result(StudyRecord("night", "d" * 12, START_S), [*outcomes, failed]))


def test_claim_2_the_table_shows_tokens_per_second_joule_per_token_interval_and_quality() -> None:
    found = table([0.80, 0.81, 0.79], swept={"pytorch.batch_size": 8})
    assert found.headers == ("experiment", "batch_size", "tokens/s", "J/output token", "quality", "cycles")
    assert found.rows[0] == (EXPERIMENT_ID, "8", "250 ± 0", "0.8 ± 0.025", "A", "3")
    assert found.rows[1] == ("f" * 12, "8", "–", "–", "–", "0 (1 failed)")
    assert found.notes == ()


def test_claim_2_without_gpu_its_energy_is_empty_with_the_reason_and_the_hosts_stands_apart_estimated() -> None:
    warnings = [{"code": "energy_not_measured", "message": "No GPU was allocated."}]
    found = table([0.0, 0.0], {**NO_GPU, "warnings": warnings})
    assert found.headers == (
        "experiment",
        "tokens/s",
        "J/output token",
        "host J/token (estimated)",
        "quality",
        "cycles",
    )
    assert found.rows[0][2:5] == ("–", "0.15 ± 0", "D")
    assert found.notes[0] == "GPU energy is empty in 2 of 2 runs: No GPU was allocated"
    assert any("Host J/token is a model's estimate" in note for note in found.notes)


def test_a_strangers_warning_cannot_write_to_the_terminal() -> None:
    (note, *_) = table([0.0], {**NO_GPU, "warnings": [{"code": "energy_refused", "message": "\x1b[2Jgone"}]}).notes
    assert note == "GPU energy is empty in 1 of 1 runs:  [2Jgone"


def test_without_a_warning_the_reason_is_what_the_result_says_of_meter_and_device() -> None:
    (note, *_) = table([0.0], NO_GPU).notes
    assert "no meter read a GPU (energy.source none, computed on cpu)" in note


def test_measured_host_energy_is_not_called_estimated() -> None:
    rapl = {"host_energy": {"cpu_j": 1000.0, "dram_j": None, "source": "rapl", "estimated": False}}
    found = table([0.8], rapl)
    assert "host J/token" in found.headers
    assert found.rows[0][3] == "0.1"


def test_claim_8_simulated_stands_beside_the_level_wherever_it_is_shown() -> None:
    found = table([0.8], {"simulated": True})
    assert found.rows[0][3:] == ("B, simulated", "1")
    assert found.rows[0][2] == "0.8"
    assert "Simulated boards" in found.notes[0]


@pytest.mark.parametrize(
    ("swept", "headers", "cells"),
    [
        ({"precision": "bf16", "decoder.do_sample": True}, ("precision", "do_sample"), ("bf16", "true")),
        ({"a.n": 1, "b.n": None}, ("a.n", "b.n"), ("1", "–")),
    ],
)
def test_swept_values_have_short_names_where_they_are_clear(
    swept: dict[str, Any], headers: tuple[str, ...], cells: tuple[str, ...]
) -> None:
    found = table([0.8], swept=swept)
    assert found.headers[1:3] == headers
    assert found.rows[0][1:3] == cells


def test_checks_that_failed_are_named_with_the_number_of_runs() -> None:
    failed = [{"name": "warmup_converged", "passed": False, "value": 0.2, "limit": 0.05}]
    found = table([0.0, 0.0], {"quality": {"level": "C", "checks": failed}})
    assert "Quality checks that failed, of 2 runs: warmup_converged in 2" in found.notes


@pytest.mark.parametrize(
    ("value", "shown"), [(160.4, "160"), (0.000123, "0.00012"), (12.7, "13"), (9.94, "9.9"), (1.2e7, "12000000")]
)
def test_numbers_are_shown_without_exponents(value: float, shown: str) -> None:
    assert digits(value, 2) == shown
