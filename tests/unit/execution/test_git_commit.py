"""The commit of a study's repository, from real repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from llem.execution.git_commit import git_commit


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with one commit, whatever git is told by the settings of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "repository"
    (root / "studies").mkdir(parents=True)
    (root / "studies" / "a.yaml").write_text("model: x\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "m")
    return root


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_claim_8_10_a_study_in_a_repository_has_its_commit(repository: Path) -> None:
    found = git_commit(repository / "studies")
    assert found is not None
    assert (found.commit, found.dirty) == (git(repository, "rev-parse", "HEAD"), False)


def test_claim_8_10_a_tracked_file_that_was_changed_makes_it_dirty_and_new_files_do_not(repository: Path) -> None:
    (repository / "results").mkdir()
    (repository / "results" / "r.json").write_text("{}")
    found = git_commit(repository)
    assert found is not None
    assert found.dirty is False
    (repository / "studies" / "a.yaml").write_text("model: y\n")
    found = git_commit(repository)
    assert found is not None
    assert found.dirty is True


def test_claim_8_10_outside_of_a_repository_and_before_its_first_commit_there_is_none(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert git_commit(tmp_path) is None


def test_claim_8_10_without_git_there_is_none(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert git_commit(repository) is None


def test_claim_8_10_a_repository_that_a_hook_names_is_not_the_studys(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    outside = tmp_path / "outside"
    outside.mkdir()
    assert "GIT_DIR" in os.environ
    assert git_commit(outside) is None
