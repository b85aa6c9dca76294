"""Ends a study, or the part of it that was run: tables and summary from what lies in `runs/`."""

from __future__ import annotations

from llem.errors import NotReadyError
from llem.execution.loop import StopReason
from llem.execution.manifest import Status
from llem.execution.session import Session
from llem.results.open_study import open_study
from llem.results.study_result import StudyResult, write_study_result
from llem.results.tables import write_parquet

_STATUS: dict[StopReason, Status] = {
    "interrupted": "interrupted",
    "consecutive_failures": "limit_reached",
    "wall_clock": "limit_reached",
    "no_healthy_gpu": "stopped",
}


def finish_study(session: Session, reason: StopReason) -> StudyResult:
    """Journal the end, then write study_result.json and results.parquet. Raises JournalUnwritable, NotReadyError."""
    counts = session.manifest.counts
    status = _STATUS.get(reason, "completed" if counts.completed == counts.total else "failed")
    if reason == "plan_done":
        session.journal.append("study_completed", completed=counts.completed, failed=counts.failed)
    else:
        session.journal.append("study_interrupted", reason=reason)
    folder = session.folder
    result = open_study(folder.root)
    try:
        write_study_result(folder.study_result, result)
        write_parquet(folder.parquet, result.results)
    except OSError as error:
        raise NotReadyError(
            f"{folder.root}: the summary of the study could not be written ({error.strerror}). The results of the "
            f"{counts.completed} completed runs (of {counts.total}) are whole. Make room, then: "
            f"llem run --resume {folder.root}"
        ) from error
    session.manifest.update(status=status)
    return result
