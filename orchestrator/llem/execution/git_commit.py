"""The commit of the repository that a study lies in, so that a result says which version of the study it is of."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from llem_runner.contract.strict import Record

_WITHIN_S = 10.0


class GitCommit(Record):
    """`dirty`: whether a tracked file of the repository differs from the commit; None where git does not tell."""

    commit: str
    dirty: bool | None = None


def git_commit(folder: Path) -> GitCommit | None:
    """The commit that is checked out around `folder`.

    None outside of a repository, before its first commit, without git, and where git refuses (a repository of another
    owner).
    """
    commit = git_says(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = git_says(folder, "status", "--porcelain", "--untracked-files=no")
    return GitCommit(commit=commit.strip(), dirty=None if changes is None else bool(changes.strip()))


def git_says(folder: Path, *arguments: str) -> str | None:
    """What git says of the repository around `folder`; None where it fails.

    It takes no lock, and starts no file system monitor.
    """
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    # GIT_DIR and the like, as a hook has them, would name another repository than the folder's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_WITHIN_S,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
