"""Folders that strangers fill are removed, however deep, closed or full of links they are."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from llem.launch.docker.removal import remove_tree


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder to be removed, in one that is left."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "root").mkdir()
    yield tmp_path / "root"
    subprocess.run(["rm", "-rf", str(tmp_path / "root")], check=True)


def test_claim_6_7_folders_in_folders_without_end_are_removed(root: Path) -> None:
    # Longer than any path may be, and deeper than Python calls itself.
    fd = os.open(root, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    remove_tree(root)
    assert not root.exists()


def test_claim_6_7_what_is_closed_named_as_ours_or_a_link_is_removed_and_nothing_outside_is_touched(root: Path) -> None:
    for name in ("llem-0", "llem-1/llem-0", "closed/closed"):
        (root / name).mkdir(parents=True)
    (root / "llem-0" / "file").touch(0)
    (root / "llem-1" / "llem-0" / "pipe").mkdir()
    os.mkfifo(root / "llem-1" / "pipe")
    (root / "closed" / "closed").chmod(0)
    (root / "closed").chmod(0)
    (root / "to a folder").symlink_to("../kept")
    (root / "llem-1" / "to a folder").symlink_to(root.parent / "kept")
    remove_tree(root)
    assert not root.exists()
    assert (root.parent / "kept" / "file").exists()
    assert (root.parent / "kept").stat().st_mode & 0o777 != 0o700


def test_claim_6_7_a_link_in_the_folders_place_is_not_followed(root: Path) -> None:
    root.rmdir()
    root.symlink_to("kept")
    remove_tree(root)
    assert (root.parent / "kept" / "file").exists()
