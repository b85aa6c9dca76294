"""`study_result.json` and the study folder it is rebuilt from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from results_factory import EXPERIMENT_ID, START_S, cycles, result, write_run, write_study

from llem.errors import CliExit, UsageError
from llem.results.open_study import open_study
from llem.results.study_result import (
    RunOutcome,
    Skipped,
    StudyRecord,
    StudyResult,
    build_study_result,
    write_study_result,
)
from llem_runner.contract.result import ResultWarning

OTHER_ID = "f" * 12
RUNS = [(EXPERIMENT_ID, 1), (EXPERIMENT_ID, 2), (OTHER_ID, 1), (OTHER_ID, 2)]
RECORD = StudyRecord(
    name="night",
    design_hash="d" * 12,
    started_unix_s=START_S,
    ended_unix_s=START_S + 100,
    skipped=(Skipped(rule="beam_sampling", reason="both", experiment={"model": "m"}),),
    warnings=(ResultWarning(code="half_skipped", message="more than half"),),
)


def built() -> StudyResult:
    first, second = cycles([0.8, 0.82])
    return build_study_result(
        RECORD,
        [
            RunOutcome(first.run_id, EXPERIMENT_ID, "completed", {"pytorch.batch_size": 4}, first),
            RunOutcome(second.run_id, EXPERIMENT_ID, "completed", {"pytorch.batch_size": 4}, second),
            RunOutcome(f"{OTHER_ID}-c1", OTHER_ID, "failed", {"pytorch.batch_size": 8}, None, "model", "no model"),
            RunOutcome(f"{OTHER_ID}-c2", OTHER_ID, "interrupted", {"pytorch.batch_size": 8}),
        ],
    )


def test_claim_2_study_result_json_has_exactly_the_names_of_the_design(tmp_path: Path) -> None:
    write_study_result(tmp_path / "study_result.json", built())
    record = json.loads((tmp_path / "study_result.json").read_text(encoding="utf-8"))
    head = ["schema_version", "study_name", "study_design_hash", "started_unix_s", "ended_unix_s", "simulated", "runs"]
    rest = ["experiments_skipped", "experiments", "comparisons", "agreement", "failures", "skipped", "warnings"]
    assert list(record) == [*head, *rest]
    assert record["runs"] == {"total": 4, "completed": 2, "failed": 1, "interrupted": 1}
    names = ["experiment_id", "swept", "cycles", "failed", "quality", "simulated", "metrics"]
    assert list(record["experiments"][0]) == names
    energy = record["experiments"][0]["metrics"]["energy.per_output_token_j"]
    assert set(energy) == {"mean", "ci95_half_width", "cv", "n", "values"}
    assert energy["values"] == [0.8, 0.82]
    assert record["failures"] == [{"run_id": f"{OTHER_ID}-c1", "kind": "model", "message": "no model"}]
    assert record["skipped"] == [{"rule": "beam_sampling", "reason": "both", "experiment": {"model": "m"}}]
    assert record["experiments_skipped"] == 1
    assert record["warnings"] == [{"code": "half_skipped", "message": "more than half"}]


def test_experiments_stand_in_the_order_of_the_plan_and_without_runs_have_no_numbers() -> None:
    experiments = built().experiments
    assert [each.experiment_id for each in experiments] == [EXPERIMENT_ID, OTHER_ID]
    assert (experiments[1].cycles, experiments[1].quality, experiments[1].metrics) == (0, None, {})


def test_an_unmeasured_quantity_has_no_mean_and_is_never_zero() -> None:
    cached = built().experiments[0].metrics["tokens.cached"]
    assert (cached.n, cached.mean, cached.values) == (0, None, ())


def test_identifiers_times_and_settings_are_no_metrics() -> None:
    names = set(built().experiments[0].metrics)
    assert "energy.devices.0.mean_power_w" in names
    assert "phases.1.energy_j" in names
    assert not [
        name
        for name in names
        if name.startswith("experiment.") or name.endswith(("_unix_s", ".index", ".n")) or name in ("attempt", "cycle")
    ]


def test_values_follow_the_cycles_whatever_the_order_of_the_runs() -> None:
    runs = cycles([0.1, 0.2, 0.3])
    outcomes = [RunOutcome(run.run_id, EXPERIMENT_ID, "completed", {}, run) for run in reversed(runs)]
    found = build_study_result(RECORD, outcomes)
    assert found.experiments[0].metrics["energy.per_output_token_j"].values == (0.1, 0.2, 0.3)
    assert [each.run_id for each in found.results] == [run.run_id for run in reversed(runs)]


def test_one_simulated_run_makes_the_study_simulated() -> None:
    assert not built().simulated
    outcome = RunOutcome("x", EXPERIMENT_ID, "completed", {}, result({"simulated": True}))
    assert build_study_result(RECORD, [outcome]).simulated


def test_claim_20_results_are_typed_and_become_tables() -> None:
    study = built()
    assert study.results[0].energy.total_j == 8000.0
    assert study.to_arrow().num_rows == 2
    frame = study.to_pandas()
    assert list(frame["energy.per_output_token_j"]) == [0.8, 0.82]
    assert frame["tokens.output"].dtype == "int64"


def finished(root: Path, events: list[dict[str, Any]] | None = None) -> None:
    first, second = cycles([0.8, 0.82])
    failed = {"event": "run_failed", "run_id": f"{OTHER_ID}-c1", "kind": "model", "message": "no model"}
    stopped = {"event": "run_interrupted", "run_id": f"{OTHER_ID}-c2"}
    write_study(root, RUNS, [failed, stopped] if events is None else events)
    write_run(root, 1, first)
    write_run(root, 2, second)


def test_claim_20_open_study_rebuilds_a_study_from_its_folder(tmp_path: Path) -> None:
    finished(tmp_path)
    study = open_study(tmp_path)
    assert study.study_name == "night"
    assert study.runs.model_dump() == {"total": 4, "completed": 2, "failed": 1, "interrupted": 1}
    assert study.failures[0].message == "no model"
    assert study.ended_unix_s == START_S + 3
    assert study.experiments[0].swept == {"pytorch.batch_size": 4}
    assert [each.run_id for each in study.results] == [f"{EXPERIMENT_ID}-c1", f"{EXPERIMENT_ID}-c2"]


def test_claim_20_what_was_written_and_what_is_rebuilt_are_the_same(tmp_path: Path) -> None:
    finished(tmp_path)
    study = open_study(tmp_path)
    write_study_result(tmp_path / "study_result.json", study)
    assert open_study(tmp_path) == study


def test_a_stale_study_result_is_not_believed(tmp_path: Path) -> None:
    finished(tmp_path)
    write_study_result(tmp_path / "study_result.json", open_study(tmp_path))
    (tmp_path / "runs" / f"0002-{EXPERIMENT_ID}-c2" / "result.json").unlink()
    assert open_study(tmp_path).runs.completed == 1


def test_warnings_of_an_earlier_study_result_are_kept(tmp_path: Path) -> None:
    finished(tmp_path)
    warned = open_study(tmp_path).model_copy(update={"warnings": RECORD.warnings})
    write_study_result(tmp_path / "study_result.json", warned)
    assert open_study(tmp_path).warnings == RECORD.warnings


def test_a_run_that_was_killed_with_its_host_is_neither_failed_nor_interrupted(tmp_path: Path) -> None:
    started = {"event": "run_started", "run_id": f"{OTHER_ID}-c1", "attempt": 1}
    finished(tmp_path, [started])
    assert open_study(tmp_path).runs.model_dump() == {"total": 4, "completed": 2, "failed": 0, "interrupted": 0}


def test_the_result_counts_more_than_the_journal(tmp_path: Path) -> None:
    failed = {"event": "run_failed", "run_id": f"{EXPERIMENT_ID}-c1", "kind": "timeout", "message": "slow"}
    finished(tmp_path, [failed])
    study = open_study(tmp_path)
    assert study.runs.completed == 2
    assert study.failures == ()


@pytest.mark.parametrize("torn", ["{", "", '{"run_id": "forged"}'])
def test_claim_16_a_result_that_does_not_validate_is_no_completed_run(tmp_path: Path, torn: str) -> None:
    finished(tmp_path)
    (tmp_path / "runs" / f"0002-{EXPERIMENT_ID}-c2" / "result.json").write_text(torn, encoding="utf-8")
    study = open_study(tmp_path)
    assert study.runs.completed == 1
    assert (study.failures[0].run_id, study.failures[0].kind) == (f"{EXPERIMENT_ID}-c2", "result_invalid")
    assert "result.json" in study.failures[0].message


def test_the_result_of_another_run_is_not_believed(tmp_path: Path) -> None:
    finished(tmp_path)
    first = tmp_path / "runs" / f"0001-{EXPERIMENT_ID}-c1" / "result.json"
    second = tmp_path / "runs" / f"0002-{EXPERIMENT_ID}-c2" / "result.json"
    second.write_bytes(first.read_bytes())
    assert open_study(tmp_path).runs.completed == 1


def test_claim_17_a_torn_last_line_of_the_journal_never_happened(tmp_path: Path) -> None:
    finished(tmp_path)
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])
    assert open_study(tmp_path).runs.model_dump() == {"total": 4, "completed": 2, "failed": 1, "interrupted": 0}


def test_without_plan_or_journal_the_written_study_result_has_to_do(tmp_path: Path) -> None:
    finished(tmp_path)
    study = open_study(tmp_path)
    write_study_result(tmp_path / "study_result.json", study)
    (tmp_path / "plan.jsonl").unlink()
    assert open_study(str(tmp_path)) == study


def test_claim_21_what_is_no_study_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder") as raised:
        open_study(tmp_path / "gone")
    assert raised.value.exit_code == CliExit.USAGE
    with pytest.raises(UsageError, match="is not a study folder"):
        open_study(tmp_path)
    (tmp_path / "study_result.json").write_text("{", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be used"):
        open_study(tmp_path)


def test_claim_21_a_damaged_plan_or_an_empty_journal_is_named(tmp_path: Path) -> None:
    finished(tmp_path)
    (tmp_path / "journal.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="does not begin with study_started"):
        open_study(tmp_path)
    finished(tmp_path)
    (tmp_path / "plan.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"plan\.jsonl:1"):
        open_study(tmp_path)
