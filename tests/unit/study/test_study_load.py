"""Claim 4 of issue 4 and claim 5 of issue 5: all errors of a file at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.errors import UsageError
from llem.study import StudyFileError, StudyOverrides, load_study, make_plan, parse_study, resolve_model, study_of

MINIMAL = "model: builtin:tiny-llama\n"


def problems_of(text: str | bytes) -> list[tuple[int, int, str, str | None]]:
    with pytest.raises(StudyFileError) as caught:
        make_plan(parse_study(text, source="s.yaml"))
    return [(p.line, p.column, p.message, p.suggestion) for p in caught.value.problems]


def test_claim_4_all_errors_at_once_with_line_column_and_nearest_key() -> None:
    text = "modell: x\nn: '5'\ndecoder:\n  temperatur: 1\n  top_p: 2\nprecision: bf61\nbatch_size: 4\n"
    found = {(line, column): (message, hint) for line, column, message, hint in problems_of(text)}
    assert found[1, 1] in [
        ("model is missing: name a Hub id, a folder, or builtin:…", None),
        ("unknown key 'modell'", "model"),
    ]
    assert found[2, 4] == ("n: expected a whole number ≥ 1, found text '5'", None)
    assert found[4, 3] == ("unknown key 'temperatur' in decoder", "temperature")
    assert found[5, 10] == ("decoder.top_p: expected a number > 0 and ≤ 1, found the number 2", None)
    assert found[6, 12] == ("precision: expected one of fp32, fp16, bf16, found text 'bf61'", "bf16")
    assert found[7, 1] == ("unknown key 'batch_size'", "pytorch.batch_size")


def test_claim_4_the_error_text_has_one_line_a_problem() -> None:
    with pytest.raises(StudyFileError) as caught:
        parse_study("model: x\nmodle: y\nn: 0\n", source="folder/s.yaml")
    assert str(caught.value).splitlines() == [
        "folder/s.yaml:2:1: unknown key 'modle' (did you mean 'model'?)",
        "folder/s.yaml:3:4: n: expected a whole number ≥ 1, found the number 0",
    ]
    assert caught.value.exit_code == 2


def test_claim_21_a_model_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        resolve_model("./nowhere", tmp_path)
    (tmp_path / "models").mkdir()
    assert resolve_model("models", tmp_path).kind == "folder"
    assert resolve_model("models", tmp_path).path == tmp_path / "models"
    assert resolve_model("org/model", tmp_path).kind == "hub"
    assert resolve_model("gpt2", tmp_path).kind == "hub"
    for impossible in (
        "a/b/c",
        "https://example.org/x",
        "org/two words",
        "org/a--b",
        "org/a..b",
        "-x",
        "org/x.",
        "x" * 97,
    ):
        with pytest.raises(UsageError, match="it is no id of the Hub"):
            resolve_model(impossible, tmp_path)
    assert resolve_model("builtin:tiny-llama", tmp_path).name == "tiny-llama"


def test_a_minimal_file_is_a_study_of_one_named_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "My Study.yaml"
    path.write_text(MINIMAL)
    study = load_study(path)
    plan = make_plan(study)
    assert (study.name, study.slug, study.backends) == ("My Study", "my-study", ("pytorch",))
    assert study.base_folder == tmp_path
    assert study.text == MINIMAL
    assert [config.model for config in plan.experiments.values()] == ["builtin:tiny-llama"]
    assert [run.run_id for run in plan.runs] == [f"{next(iter(plan.experiments))}-c1"]


def test_overrides_of_the_command_line_replace_what_the_file_says() -> None:
    text = MINIMAL + "execution: {n_cycles: 5, cycle_order: shuffled, experiment_gap_seconds: 3, stall_seconds: 7}\n"
    given = StudyOverrides(cycles=2, order="interleaved", no_gaps=True, output_folder="elsewhere")
    study = parse_study(text, source="s.yaml", overrides=given)
    execution = study.execution
    assert (execution.n_cycles, execution.cycle_order, execution.experiment_gap_seconds) == (2, "interleaved", 0)
    assert (execution.stall_seconds, study.output.folder) == (7, "elsewhere")
    with pytest.raises(StudyFileError, match=r"command line: execution\.n_cycles"):
        parse_study(text, source="s.yaml", overrides=StudyOverrides(cycles=0))


def test_a_study_of_flags_is_the_same_as_its_file() -> None:
    study = study_of({"model": "builtin:tiny-llama", "pytorch": {"batch_size": 4}}, "quick", {"n_cycles": 2})
    again = parse_study(study.text, source="quick.yaml")
    assert make_plan(study).design_hash == make_plan(again).design_hash
    assert again.execution.n_cycles == study.execution.n_cycles == 2
    with pytest.raises(StudyFileError, match=r"command line: pytorch.batch_size: expected a whole number"):
        study_of({"model": "x", "pytorch": {"batch_size": "4"}}, "quick")
