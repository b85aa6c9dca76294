from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llem.errors import NotReadyError, UsageError
from llem.execution.folder import StudyFolder, write_json

NOON_UNIX_S = 1_795_608_000.0


def test_the_folder_is_named_by_slug_design_hash_and_utc_time(tmp_path: Path) -> None:
    folder = StudyFolder.create(tmp_path / "results", "my-study", "0123456789ab", NOON_UNIX_S)
    assert folder.root.name == "my-study-01234567-20261125T120000Z"
    assert folder.runs.is_dir()


def test_two_studies_in_one_second_get_two_folders(tmp_path: Path) -> None:
    folders = [StudyFolder.create(tmp_path, "s", "0123456789ab", NOON_UNIX_S).root for _ in range(3)]
    assert len(set(folders)) == 3


def test_claim_22_an_output_folder_that_cannot_be_made_is_exit_3_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file is in the way")
    with pytest.raises(NotReadyError, match="cannot be made here"):
        StudyFolder.create(tmp_path / "results", "s", "0123456789ab", NOON_UNIX_S)


def test_a_folder_that_is_no_study_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a study folder"):
        StudyFolder.existing(tmp_path)


def test_only_one_process_owns_a_study_and_its_death_frees_it(tmp_path: Path) -> None:
    folder = StudyFolder.create(tmp_path, "s", "0123456789ab", NOON_UNIX_S)
    code = (
        "import sys; from pathlib import Path; from llem.execution.folder import StudyFolder;"
        "StudyFolder(Path(sys.argv[1])).lock(); print('locked', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"locked\n"
    with pytest.raises(NotReadyError, match="another llem is running this study"):
        folder.lock()
    owner.kill()
    owner.communicate()
    folder.lock()
    folder.unlock()


def test_a_json_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 2\n}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]


def test_claim_6_10_a_lock_that_is_held_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    folder = StudyFolder.create(tmp_path, "s", "0" * 64, 0.0)
    with (folder.root / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        release = threading.Timer(0.3, fcntl.flock, (held, fcntl.LOCK_UN))
        release.start()
        with folder.owned():
            release.join()
