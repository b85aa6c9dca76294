"""The README's first command, as it stands there, on the real model. The longest test: some three minutes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pyarrow.parquet
import pytest
from llem_process import NO_ENGINE

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the command printed, and the study folder it made."""
    parent = tmp_path_factory.mktemp("quickstart")
    command = ["make", "--no-print-directory", "study", "STUDY=examples/quickstart.yaml", f"ARGS=-o {parent}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **NO_ENGINE, "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout
    [study] = parent.iterdir()
    return done.stdout, study


def results(study: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(study.glob("runs/*/result.json"))]


def test_claim_1_it_says_in_one_line_that_no_engine_answers_and_that_runs_are_local(
    quickstart: tuple[str, Path],
) -> None:
    [line] = [line for line in quickstart[0].splitlines() if "engine" in line]
    assert "No container engine answers" in line
    assert "local" in line


def test_claim_1_it_sweeps_two_batch_sizes_by_two_output_lengths_in_two_cycles(quickstart: tuple[str, Path]) -> None:
    seen = {
        (result["experiment"]["pytorch"]["batch_size"], result["experiment"]["max_output_tokens"], result["cycle"])  # type: ignore[index]
        for result in results(quickstart[1])
    }
    assert seen == {(batch, length, cycle) for batch in (1, 8) for length in (16, 32) for cycle in (1, 2)}


def test_claim_2_it_ends_in_a_study_folder_as_designed(quickstart: tuple[str, Path]) -> None:
    study = quickstart[1]
    names = {path.name for path in study.iterdir()}
    assert names == {
        *("study.yaml", "plan.jsonl", "journal.jsonl", "manifest.json", ".lock", "runs"),
        *("study_result.json", "results.parquet"),
    }
    assert len(results(study)) == 8
    assert pyarrow.parquet.read_table(study / "results.parquet").num_rows == 8
    summary = json.loads((study / "study_result.json").read_text())
    assert summary["runs"] == {"total": 8, "completed": 8, "failed": 0, "interrupted": 0}
    assert all(
        experiment["metrics"]["throughput.output_tokens_per_s"]["n"] == 2 for experiment in summary["experiments"]
    )


def test_claim_2_the_table_shows_rate_energy_interval_and_quality(quickstart: tuple[str, Path]) -> None:
    lines = quickstart[0].splitlines()
    header = next(line for line in lines if line.startswith("experiment"))
    for column in ("tokens/s", "J/output token", "host J/token (estimated)", "quality", "cycles"):
        assert column in header
    rows = lines[lines.index(header) + 1 :][:4]
    assert all(re.search(r"\d ± \d", row) for row in rows), rows
    assert any("95 %" in line for line in lines)


def test_claim_2_gpu_energy_is_empty_with_the_reason_and_the_hosts_is_marked_estimated(
    quickstart: tuple[str, Path],
) -> None:
    for result in results(quickstart[1]):
        assert result["energy"]["total_j"] is None  # type: ignore[index]
        assert "energy_not_measured" in {warning["code"] for warning in result["warnings"]}  # type: ignore[attr-defined,index]
        host = result["host_energy"]
        assert (host["source"], host["estimated"]) == ("codecarbon", True)  # type: ignore[index]
        assert "weights_dequantised" in {warning["code"] for warning in result["warnings"]}  # type: ignore[attr-defined,index]
        assert host["cpu_j"] > 0  # type: ignore[index]
        assert result["quality"]["level"] == "D"  # type: ignore[index]
    assert "GPU energy is empty in 8 of 8 runs: No GPU was read" in quickstart[0]
    assert "Host J/token is a model's estimate" in quickstart[0]


COMMON_ENGLISH = {"the", "a", "an", "is", "are", "of", "to", "and", "in", "that", "for", "you", "i", "it", "be", "with"}


def test_claim_12_the_samples_hold_sensible_english(quickstart: tuple[str, Path]) -> None:
    [first, *_] = sorted(quickstart[1].glob("runs/*/out/samples.jsonl"))
    samples = [json.loads(line) for line in first.read_text().splitlines()]
    assert len(samples) == 8
    words = re.findall(r"[a-z']+", " ".join(sample["text"] for sample in samples).lower())
    assert len(words) > 50
    assert sum(word in COMMON_ENGLISH for word in words) / len(words) > 0.15
    assert all(len(sample["output_token_ids"]) <= 16 for sample in samples)


def test_claim_19_the_engines_own_log_goes_to_container_log(quickstart: tuple[str, Path]) -> None:
    assert "Loading weights" not in quickstart[0]
    assert all("Loading weights" in path.read_text() for path in quickstart[1].glob("runs/*/container.log"))
