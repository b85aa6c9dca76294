"""The runner of a study is the one that it began with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from llem.launch.docker import folders
from llem.launch.docker.folders import shown_runner


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runner of one file, which somebody edits."""
    file = tmp_path / "package" / "run.py"
    file.parent.mkdir()
    file.write_text("print(1)\n")

    def sources() -> Iterator[tuple[str, Path]]:
        for each in sorted(file.parent.iterdir()):
            yield f"llem_runner/{each.name}", each

    monkeypatch.setattr(folders, "_runner_sources", sources)
    return file


def test_claim_6_6_a_runner_that_is_edited_or_removed_meanwhile_is_not_the_studys(
    tmp_path: Path, package: Path
) -> None:
    first = shown_runner(tmp_path / "study")
    package.write_text("print(2)\n")
    assert shown_runner(tmp_path / "study", first.outside.name) == first
    shutil.rmtree(package.parent)
    assert shown_runner(tmp_path / "study", first.outside.name) == first
    assert (first.outside / "llem_runner" / "run.py").read_text() == "print(1)\n"


def test_claim_6_6_a_copy_that_is_gone_or_changed_or_of_another_contract_is_made_anew(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "study"
    first = shown_runner(study)
    name, copied = first.outside.name, first.outside / "llem_runner" / "run.py"
    copied.write_text("print(3)\n")
    assert shown_runner(study, name) == first
    assert copied.read_text() == "print(1)\n"
    shutil.rmtree(first.outside)
    package.write_text("print(2)\n")
    second = shown_runner(study, name)
    assert second.outside.name != name
    monkeypatch.setattr(folders, "CONTRACT_VERSION", 999)
    third = shown_runner(study, second.outside.name)
    assert third.outside.name.startswith("999-")
    assert (third.outside / "llem_runner" / "run.py").read_text() == "print(2)\n"
