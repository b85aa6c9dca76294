"""Why a timeline was not kept: never in the words of the file itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_factory import result_record

from llem.results.timeline import save_timeline
from llem_runner.contract import ExperimentResult
from llem_runner.power.readings import HEADER

COLUMNS = HEADER.count(",") + 1
RESULT = ExperimentResult.model_validate(result_record())
HARM = "\x1b[2J\x9b31m"


@pytest.mark.parametrize(
    "line",
    [",".join([HARM] * COLUMNS), f"{HARM},1", f'"{HARM}', f"1,{HARM}" + "," * (COLUMNS - 2)],
    ids=["cells", "too short", "a quote without end", "one cell"],
)
def test_claim_6_7_a_timeline_that_cannot_be_read_is_not_quoted(tmp_path: Path, line: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "power.csv").write_text(f"{HEADER}{line}\n")
    problem = save_timeline(tmp_path, RESULT)
    assert problem is not None
    assert "power.csv is no timeline" in problem
    assert problem.isprintable()
    assert not (tmp_path / "power.parquet").exists()


def test_claim_6_7_a_timeline_that_is_not_there_is_said_to_be_missing_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert save_timeline(tmp_path, RESULT) == "out/power.csv is missing"
