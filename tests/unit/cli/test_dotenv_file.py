"""`.env`: which files, which names, what is said, and what never happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.cli.dotenv_file import read_dotenv
from llem.errors import UsageError


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of a study, and the working folder."""
    study, work = tmp_path / "study", tmp_path / "work"
    study.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    return study, work


def read(study: Path | None, **environment: str) -> tuple[dict[str, str], list[str]]:
    said = list(read_dotenv(study / "s.yaml" if study else None, environment))
    return environment, said


def test_claim_10_10_the_token_and_our_variables_are_read_and_nothing_else(folders: tuple[Path, Path]) -> None:
    study, _ = folders
    lines = (
        "HF_TOKEN=hf_secret\nexport LLEM_RUNNER_VLLM='docker:x'\nPATH=/evil\nLLEM_TEST_NVML_LIBRARY=/evil.so\nLLEM_X\n"
    )
    (study / ".env").write_text(lines)
    assert read(study)[0] == {"HF_TOKEN": "hf_secret", "LLEM_RUNNER_VLLM": "docker:x"}


def test_claim_10_10_it_is_said_in_one_line_without_the_values(folders: tuple[Path, Path]) -> None:
    study, _ = folders
    (study / ".env").write_text("HF_TOKEN=hf_secret\nLLEM_IMAGE_PYTORCH=y\n")
    assert read(study)[1] == [f"Taken from {study}/.env: HF_TOKEN, LLEM_IMAGE_PYTORCH."]


@pytest.mark.parametrize("already", ["mine", ""])
def test_claim_10_10_what_is_set_is_never_overridden_also_where_it_is_set_to_nothing(
    folders: tuple[Path, Path], already: str
) -> None:
    study, _ = folders
    (study / ".env").write_text("HF_TOKEN=other\n")
    assert read(study, HF_TOKEN=already) == ({"HF_TOKEN": already}, [])


def test_claim_10_10_the_file_beside_the_study_comes_before_that_of_the_working_folder(
    folders: tuple[Path, Path],
) -> None:
    study, work = folders
    (study / ".env").write_text("HF_TOKEN=of-study\n")
    (work / ".env").write_text("HF_TOKEN=of-work\nLLEM_RUNNER_VLLM=local\n")
    assert read(study)[0] == {"HF_TOKEN": "of-study", "LLEM_RUNNER_VLLM": "local"}
    assert read(None)[0] == {"HF_TOKEN": "of-work", "LLEM_RUNNER_VLLM": "local"}


def test_claim_10_10_a_study_in_the_working_folder_reads_its_file_once(folders: tuple[Path, Path]) -> None:
    _, work = folders
    (work / ".env").write_text("HF_TOKEN=x\n")
    assert len(read(work)[1]) == 1


def test_claim_10_10_a_value_is_taken_as_it_stands(folders: tuple[Path, Path]) -> None:
    study, _ = folders
    (study / ".env").write_text("LLEM_IMAGE_VLLM=registry/$HOME:1\n")
    assert read(study)[0] == {"LLEM_IMAGE_VLLM": "registry/$HOME:1"}


def test_claim_10_10_a_file_that_is_no_text_is_an_error_that_names_it(folders: tuple[Path, Path]) -> None:
    study, _ = folders
    (study / ".env").write_bytes(b"HF_TOKEN=\xff\n")
    with pytest.raises(UsageError, match=r"\.env is not UTF-8 text \(byte 10\)"):
        read(study)


def test_claim_10_10_a_folder_of_that_name_is_an_error_and_none_at_all_is_not(folders: tuple[Path, Path]) -> None:
    study, _ = folders
    assert read(study) == ({}, [])
    (study / ".env").mkdir()
    with pytest.raises(UsageError, match=r"\.env cannot be read"):
        read(study)
