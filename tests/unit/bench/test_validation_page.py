"""docs/validation.md is what the generator makes of the kept measurements, and says what was not measured."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.bench.validation import words
from tests.bench.validation.document import DOCUMENT, kept, render


def test_claim_7_12_the_page_is_what_the_generator_makes_of_the_kept_measurements() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(kept()), "python -m tests.bench.validation renders it anew"


def test_claim_7_12_the_page_has_dates_devices_tables_methods_and_limits() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    assert re.search(r"\| simulated boards \| \d{4}-\d\d-\d\d \| .*, \d+ cores, Linux .*zeus [\d.]+, codecarbon", page)
    for heading in ("known exactly", "recordings of real boards", "recorder costs", "real GPU", "limits"):
        assert re.search(rf"^## .*{heading}", page, flags=re.MULTILINE), heading
    assert page.count("**How it was made.**") == 2
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 180


def test_claim_7_12_what_was_kept_of_the_simulated_boards_holds_everywhere() -> None:
    accuracy = kept()["accuracy"]
    assert accuracy["misses"] == []
    assert {row["hold"] for row in accuracy["rows"]} == {1.0}
    assert {row["window_s"] for row in accuracy["rows"]} == {0.5, 1.0, 5.0, 30.0}


def without(*names: str) -> dict[str, Any]:
    return {name: part for name, part in kept().items() if name not in names}


@pytest.mark.parametrize(
    ("names", "said"),
    [(("gpu",), words.GPU_MISSING), (("recorder",), words.RECORDER_MISSING), (("gpu",), "| not run yet |")],
)
def test_claim_7_12_a_part_that_was_not_measured_is_said_to_be_missing(names: tuple[str, ...], said: str) -> None:
    assert said in render(without(*names))


def test_claim_7_15_a_file_from_a_real_gpu_is_taken_in() -> None:
    made = {"date": "2026-12-01", "machine": "a CPU, 8 cores, Linux 6.1", "versions": "Python 3.12"}
    gpu = {"made": made, "device": "NVIDIA H100 80GB HBM3", "markdown": ["| what | found |", "|---|---|"]}
    page = render({**without("gpu"), "gpu": gpu})
    assert "| a real GPU | 2026-12-01 | NVIDIA H100 80GB HBM3 (a CPU, 8 cores, Linux 6.1) | Python 3.12 |" in page
    assert "| what | found |\n|---|---|" in page
    assert words.GPU_MISSING not in page


def test_the_recorders_cost_is_shown_as_it_was_printed() -> None:
    made = {"date": "2026-12-01", "machine": "m", "versions": "v"}
    page = render({**without("recorder"), "recorder": {"made": made, "lines": ["idle   0.80 %"]}})
    assert "```text\nidle   0.80 %\n```" in page
    assert "| the recorder's cost | 2026-12-01 | m | v |" in page
