"""The study folder: what lies where, how it is made, and who may write to it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from llem.atomic import write_atomically
from llem.errors import NotReadyError, UsageError
from llem.results.open_study import run_folder

MANIFEST_SCHEMA_VERSION = 1
_LOCK_PATIENCE_S = 3.0
"""Whoever removes the container of a study that nobody runs holds its lock meanwhile."""


class StudyFolder:
    """Paths inside one study folder, and its lock."""

    def __init__(self, root: Path) -> None:
        # Resolved, so that a runner of this study is found however the folder is named.
        self.root = root.resolve()
        self.study = self.root / "study.yaml"
        self.plan = self.root / "plan.jsonl"
        self.journal = self.root / "journal.jsonl"
        self.manifest = self.root / "manifest.json"
        self.runs = self.root / "runs"
        self.study_result = self.root / "study_result.json"
        self.parquet = self.root / "results.parquet"
        self._lock_fd = -1

    @classmethod
    def create(cls, parent: Path, slug: str, design_hash: str, started_unix_s: float) -> StudyFolder:
        """Make the folder `<slug>-<design_hash[:8]>-<UTC time>`; a counter follows when two start in one second."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(started_unix_s))
        name = f"{slug}-{design_hash[:8]}-{stamp}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            for attempt in range(1, 1000):
                root = parent / (name if attempt == 1 else f"{name}-{attempt}")
                try:
                    root.mkdir()
                except FileExistsError:
                    continue
                (root / "runs").mkdir()
                return cls(root)
        except OSError as error:
            raise NotReadyError(
                f"{parent}: study folders cannot be made here ({error.strerror}). "
                "Choose another parent with -o or output.folder."
            ) from error
        raise NotReadyError(f"{parent}: too many studies named {name}.")

    @classmethod
    def existing(cls, root: Path) -> StudyFolder:
        """An existing study folder. Raises UsageError where `root` is none."""
        try:
            folder = cls(root)
            is_study = folder.plan.is_file() and folder.journal.is_file()
        except OSError as error:
            raise UsageError(f"{root} cannot be read ({error.strerror}).") from error
        if not is_study:
            raise UsageError(f"{root} is not a study folder: it has no plan.jsonl and journal.jsonl.")
        return folder

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own the folder within a `with`. Raises NotReadyError where somebody else does."""
        self.lock()
        try:
            yield
        finally:
            self.unlock()

    def lock(self) -> None:
        """Own the folder until `unlock` or the end of the process. Raises NotReadyError where somebody else does."""
        try:
            self._lock_fd = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise NotReadyError(f"{self.root}: the study cannot be written here ({error.strerror}).") from error
        end_s = time.monotonic() + _LOCK_PATIENCE_S
        while not self._locked():
            if time.monotonic() > end_s:
                self.unlock()
                raise NotReadyError(f"{self.root}: another llem is running this study right now.")
            time.sleep(0.05)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def unlock(self) -> None:
        """Give the folder up. Safe to call twice."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def run(self, sequence: int, run_id: str) -> Path:
        """The folder of a run."""
        return run_folder(self.root, sequence, run_id)

    def write_plan(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """`plan.jsonl`: one line a run, in order, with all that is needed to run it."""

        def write(file: BinaryIO) -> None:
            for line in lines:
                file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")

        write_atomically(self.plan, write)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file whole: readers see the old one or the new one. Raises OSError."""
    content = json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
    write_atomically(path, lambda file: file.write(content))
