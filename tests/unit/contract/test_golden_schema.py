"""The contract's schema changes only together with CONTRACT_VERSION: old images must not misunderstand a new host."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import contract_schema
import pytest
from contract_schema import COMMAND, contract, golden, problem


def test_the_contract_is_the_recorded_one() -> None:
    wrong = problem(golden(), contract())
    assert wrong is None, wrong


def changed(change: str) -> dict[str, Any]:
    now = copy.deepcopy(contract())
    models = now["models"]
    if change == "a name more":
        models["ExperimentResult"]["properties"]["mood"] = {"type": "string"}
    elif change == "a name less":
        del models["Allocation"]["properties"]["host"]
    elif change == "another type":
        models["SyntheticRecipe"]["properties"]["n"]["type"] = "number"
    elif change == "another exit code":
        now["exit_codes"]["model"] = 99
    elif change == "another file name":
        now["files"]["RESULT_FILE"] = "outcome.json"
    else:
        models["Event"]["discriminator"]["mapping"]["mood"] = "#"
    return now


@pytest.mark.parametrize(
    "change",
    ["a name more", "a name less", "another type", "another exit code", "another file name", "another event"],
)
def test_a_change_without_a_new_version_is_found_and_the_message_names_the_command(change: str) -> None:
    wrong = problem(contract(), changed(change))
    assert wrong is not None
    assert "CONTRACT_VERSION did not" in wrong
    assert COMMAND in wrong


def test_a_new_version_has_to_be_recorded() -> None:
    wrong = problem({**contract(), "contract_version": 0}, contract())
    assert wrong is not None
    assert f"Record its schema: {COMMAND}" in wrong


def test_recording_refuses_a_change_without_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(contract_schema, "GOLDEN_FILE", tmp_path / "golden.json")
    assert contract_schema.record() == 0
    assert golden() == contract()
    monkeypatch.setattr(contract_schema, "contract", lambda: changed("a name more"))
    assert contract_schema.record() == 1
    assert "models.ExperimentResult.properties.mood" in capsys.readouterr().err
    assert problem(golden(), contract()) is None


def test_words_for_people_are_no_part_of_the_contract() -> None:
    assert "description" not in contract()["models"]["Allocation"]
