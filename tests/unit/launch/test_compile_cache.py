"""The cache of compilers and engines: one folder for each image and study."""

from __future__ import annotations

import os
from pathlib import Path

from llem.launch.docker.folders import remove_working_folders, shown_cache

OWNER = (os.geteuid(), os.getegid())
IMAGE, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def test_claim_10_9_a_cache_is_cold_until_something_is_in_it_and_then_warm(tmp_path: Path) -> None:
    shown, warm = shown_cache(tmp_path, IMAGE, OWNER)
    assert (shown.writable, warm) == (True, False)
    assert shown_cache(tmp_path, IMAGE, OWNER) == (shown, False)
    (shown.outside / "kernel.so").touch()
    assert shown_cache(tmp_path, IMAGE, OWNER) == (shown, True)


def test_claim_10_9_neither_another_image_nor_another_study_finds_what_one_left(tmp_path: Path) -> None:
    studies = [tmp_path / "one", tmp_path / "two"]
    left, _ = shown_cache(studies[0], IMAGE, OWNER)
    (left.outside / "kernel.so").touch()
    for study, image in ((studies[0], OTHER), (studies[1], IMAGE)):
        shown, warm = shown_cache(study, image, OWNER)
        assert not warm
        assert shown.outside != left.outside


def test_claim_10_9_the_cache_goes_when_the_study_is_complete(tmp_path: Path) -> None:
    shown, _ = shown_cache(tmp_path, IMAGE, OWNER)
    remove_working_folders(tmp_path)
    assert not shown.outside.exists()
