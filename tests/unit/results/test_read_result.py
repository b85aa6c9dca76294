"""Claims 16 and 22: a result counts only if it is whole, valid, of this attempt, and does not contradict itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from results_factory import EXPERIMENT_ID, NONCE, START_S, result, result_record

from llem.results.complete import HostFacts, complete, write_result
from llem.results.read import Expected, ResultRejected, is_completed, read_completed, read_error, read_result
from llem_runner.contract import CONTRACT_VERSION
from llem_runner.contract.result import Image, ResultWarning

EXPECTED = Expected(run_id=f"{EXPERIMENT_ID}-c1", attempt=1, nonce=NONCE)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path


def rejection(run_folder: Path, content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    (run_folder / "out" / "result.json").write_bytes(data)
    with pytest.raises(ResultRejected) as raised:
        read_result(run_folder, EXPECTED)
    return raised.value.reason


def test_claim_16_a_valid_result_is_read(run_folder: Path) -> None:
    (run_folder / "out" / "result.json").write_text(json.dumps(result_record()), encoding="utf-8")
    assert read_result(run_folder, EXPECTED) == result()


def test_claim_22_a_missing_result_is_told_apart(run_folder: Path) -> None:
    with pytest.raises(ResultRejected, match="missing") as raised:
        read_result(run_folder, EXPECTED)
    assert raised.value.missing


def test_claim_22_a_result_torn_anywhere_is_rejected(run_folder: Path) -> None:
    whole = json.dumps(result_record()).encode()
    for end in range(0, len(whole), 97):
        assert "not JSON, perhaps torn" in rejection(run_folder, whole[:end])


NOT_JSON: list[tuple[str | bytes, str]] = [
    ("", "torn"),
    (b"\xff\xfe{}", "torn"),
    ("[" * 100_000, "nested too deeply"),
    ('{"a":' * 70 + "1" + "}" * 70, "nested too deeply"),
    ('{"a": NaN}', "NaN is no number"),
    ('{"a": -Infinity}', "-Infinity is no number"),
    ('{"a": 1e999}', "too large"),
    ('{"a": 1e200}', "too large"),
    ('{"a": ' + "9" * 30 + "}", "64 bits"),
    ('{"a": ' + "9" * 10_000 + "}", "not JSON"),
    ('{"a": "\\ud800"}', "surrogate"),
    ('{"\\ud800": 1}', "surrogate"),
    ("[]", "not a JSON object"),
    ("null", "not a JSON object"),
]


@pytest.mark.parametrize(("content", "reason"), NOT_JSON)
def test_claim_22_what_is_no_usable_json_is_rejected(run_folder: Path, content: str | bytes, reason: str) -> None:
    assert reason in rejection(run_folder, content)


OTHERS: list[tuple[dict[str, Any], str]] = [
    ({"nonce": "f" * 16}, "nonce"),
    ({"nonce": None}, "nonce"),
    ({"contract_version": CONTRACT_VERSION + 1}, "contract version"),
    ({"contract_version": "1"}, "contract version"),
    ({"run_id": "another-c1"}, "another run: run_id"),
    ({"attempt": 2}, "another run: attempt"),
]


@pytest.mark.parametrize(("changes", "reason"), OTHERS)
def test_claim_22_a_forged_or_foreign_result_is_rejected(
    run_folder: Path, changes: dict[str, Any], reason: str
) -> None:
    assert reason in rejection(run_folder, json.dumps(result_record(changes)))


@pytest.mark.parametrize("name", sorted(set(result_record()) - {"schema_version", "image", "warnings", "recorder"}))
def test_claim_22_every_name_is_validated(run_folder: Path, name: str) -> None:
    record = result_record()
    record[name] = [["no", "such", "thing"]]
    assert rejection(run_folder, json.dumps(record))


def test_a_result_that_does_not_validate_names_what_is_wrong(run_folder: Path) -> None:
    reason = rejection(run_folder, json.dumps(result_record({"energy.source": "guess", "tokens.output": -1})))
    assert "energy.source" in reason
    assert "tokens.output" in reason


CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"window.end_unix_s": START_S}, "window ends before"),
    ({"window.end_unix_s": START_S + 41}, "ends are 41 s apart"),
    ({"passes.0.end_unix_s": START_S - 1}, "pass or a phase ends"),
    ({"phases.1.end_unix_s": START_S - 1}, "pass or a phase ends"),
    ({"tokens.total": 12_001}, "tokens.total"),
    ({"tokens.cached": 2001}, "tokens.cached"),
    ({"requests.completed": 201}, "201 of 200"),
    ({"energy.lower_j": 8001.0}, "energy.lower_j is above"),
    ({"energy.upper_j": 7999.0}, "energy.upper_j is below"),
    ({"energy.total_j": None}, "bounds but no total_j"),
    ({"energy.total_j": -1.0, "energy.lower_j": None, "energy.upper_j": None}, "negative"),
    ({"energy.devices.0.lower_j": 9000.0}, "energy.devices.0.lower_j is above"),
]


@pytest.mark.parametrize(("changes", "reason"), CONTRADICTIONS)
def test_numbers_that_cannot_be_true_together_are_rejected(
    run_folder: Path, changes: dict[str, Any], reason: str
) -> None:
    assert reason in rejection(run_folder, json.dumps(result_record(changes)))


def test_a_result_without_any_energy_is_valid(run_folder: Path) -> None:
    changes = {f"energy.{name}": None for name in ("method", "total_j", "lower_j", "upper_j", "idle_power_w")}
    record = result_record({**changes, "energy.source": "none", "energy.devices": [], "recorder": None})
    (run_folder / "out" / "result.json").write_text(json.dumps(record), encoding="utf-8")
    assert read_result(run_folder, EXPECTED).energy.total_j is None


def error_record(**changes: Any) -> dict[str, Any]:
    return {
        "contract_version": CONTRACT_VERSION,
        "nonce": NONCE,
        "kind": "model",
        "message": "no such model",
        "phase": "load",
        **changes,
    }


def test_claim_16_error_json_is_read_with_the_same_care(run_folder: Path) -> None:
    path = run_folder / "out" / "error.json"
    path.write_text(json.dumps(error_record()), encoding="utf-8")
    found = read_error(run_folder, EXPECTED)
    assert found is not None
    assert (found.kind.value, found.message) == ("model", "no such model")


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        json.dumps(error_record(nonce="f" * 16)),
        json.dumps(error_record(contract_version=CONTRACT_VERSION + 1)),
        json.dumps(error_record(kind="nonsense")),
        json.dumps(error_record(message=None)),
    ],
)
def test_claim_16_an_error_json_that_is_not_ours_says_nothing(run_folder: Path, content: str | None) -> None:
    if content is not None:
        (run_folder / "out" / "error.json").write_text(content, encoding="utf-8")
    assert read_error(run_folder, EXPECTED) is None


FACTS = HostFacts(
    experiment_id=EXPERIMENT_ID,
    cycle=3,
    attempt=2,
    image=Image(name="llem-pytorch:0.1.0", digest="sha256:abc"),
    launched={"engine": "Docker 27"},
    study={"llem_version": "1.2", "git": {"commit": "abc", "dirty": False}},
    warnings=(ResultWarning(code="host", message="said"),),
)


def test_claim_16_a_result_is_completed_with_what_only_the_host_knows() -> None:
    done = complete(result({"cycle": 99, "experiment_id": "forged", "environment.study": {"git": "forged"}}), FACTS)
    assert (done.experiment_id, done.cycle, done.attempt) == (EXPERIMENT_ID, 3, 2)
    assert done.image.digest == "sha256:abc"
    assert done.environment == {
        **result().environment,
        "launch": {"engine": "Docker 27"},
        "study": {"llem_version": "1.2", "git": {"commit": "abc", "dirty": False}},
    }
    assert done.warnings[-1].code == "host"
    assert done.energy == result().energy


def test_claim_16_what_was_written_is_read_back_the_same(tmp_path: Path) -> None:
    done = complete(result({"environment.name": "Größe – 日本"}), FACTS)
    write_result(tmp_path / "result.json", done)
    assert read_completed(tmp_path / "result.json") == done
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_claim_16_only_a_whole_result_makes_a_run_completed(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, result())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ResultRejected, match="torn"):
        read_completed(path)
    assert not is_completed(path, EXPECTED.run_id)


def test_claim_17_a_run_is_completed_by_its_own_result_only(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert not is_completed(path, EXPECTED.run_id)
    write_result(path, result())
    assert is_completed(path, EXPECTED.run_id)
    assert not is_completed(path, "another-c1")


def test_a_result_outlives_the_contract_of_its_day(tmp_path: Path) -> None:
    write_result(tmp_path / "result.json", result({"contract_version": 999}))
    assert read_completed(tmp_path / "result.json").contract_version == 999


def test_a_result_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    from llem.atomic import write_atomically

    path = tmp_path / "result.json"
    path.write_text("old", encoding="utf-8")

    def full(file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, full)
    assert path.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
