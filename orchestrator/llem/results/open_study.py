"""Reading a study folder, finished or not: the results under `runs/` are the truth, the journal says what became of
the rest. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from llem.errors import UsageError
from llem.results.journal_line import parse_line
from llem.results.read import ResultRejected, read_answers, read_completed
from llem.results.same_work import Agreement, Answered, agreements, comparable
from llem.results.study_result import RunOutcome, Skipped, StudyRecord, StudyResult, build_study_result
from llem_runner.contract.exchange import RESULT_FILE
from llem_runner.contract.result import ResultWarning
from llem_runner.contract.strict import Record


class PlanLine(Record):
    """What is needed here of a line of `plan.jsonl`."""

    sequence: int
    run_id: str
    experiment_id: str
    cycle: int
    swept: dict[str, Any] = Field(default_factory=dict)


class _Started(Record):
    """What is needed here of the journal's `study_started`."""

    name: str
    design_hash: str
    started_unix_s: float
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[ResultWarning, ...] = ()


def open_study(folder: Path | str) -> StudyResult:
    """The result of the study in `folder`, rebuilt from plan, journal and the runs' results, however it ended.

    Without a plan or a journal (a folder that was copied in part) `study_result.json` has to do. Raises UsageError
    where the folder is no study's.
    """
    root = Path(folder)
    try:
        if not root.is_dir():
            raise UsageError(f"{root}: no such folder.")
        whole = (root / "plan.jsonl").is_file() and (root / "journal.jsonl").is_file()
    except OSError as error:
        raise UsageError(f"{root} cannot be read ({error.strerror}).") from error
    if whole:
        return _rebuilt(root)
    if (root / "study_result.json").is_file():
        return _as_written(root)
    raise UsageError(
        f"{root} is not a study folder: it has neither plan.jsonl and journal.jsonl nor study_result.json. "
        "Name the folder that `llem run` made."
    )


def read_outcomes(root: Path, plan: Iterable[PlanLine], journal: Iterable[dict[str, Any]]) -> list[RunOutcome]:
    """How every run of the plan stands, from its `result.json` first and the journal's last word on it otherwise.

    A result that does not validate is a failed run (kind `result_invalid`), unless the journal knows of a failure.
    """
    last = {record["run_id"]: record for record in journal if "run_id" in record}
    return [_outcome(root, line, last.get(line.run_id, {})) for line in plan]


def run_folder(root: Path, sequence: int, run_id: str) -> Path:
    """The folder of a run."""
    return root / "runs" / f"{sequence:04d}-{run_id}"


def _outcome(root: Path, line: PlanLine, last: dict[str, Any]) -> RunOutcome:
    outcome = RunOutcome(line.run_id, line.experiment_id, "pending", line.swept)
    try:
        path = run_folder(root, line.sequence, line.run_id) / RESULT_FILE
        return replace(outcome, status="completed", result=read_completed(path, line.run_id))
    except ResultRejected as rejected:
        event = last.get("event")
        if event == "run_failed":
            kind, message = str(last.get("kind", "")), str(last.get("message", ""))
            return replace(outcome, status="failed", kind=kind, message=message)
        if event == "run_interrupted":
            return replace(outcome, status="interrupted")
        if not rejected.missing:
            message = f"{run_folder(root, line.sequence, line.run_id).name}/{RESULT_FILE}: {rejected.reason}"
            return replace(outcome, status="failed", kind="result_invalid", message=message)
        return outcome


def _rebuilt(root: Path) -> StudyResult:
    journal = _journal(root / "journal.jsonl")
    plan = [_plan_line(root, number, raw) for number, raw in enumerate(_lines(root / "plan.jsonl"), start=1)]
    try:
        started = _Started.model_validate(journal[0] if journal else {})
    except ValidationError as error:
        raise UsageError(f"{root}/journal.jsonl does not begin with study_started: this study never began.") from error
    record = StudyRecord(
        name=started.name,
        design_hash=started.design_hash,
        started_unix_s=started.started_unix_s,
        ended_unix_s=next((line["unix_s"] for line in reversed(journal) if "unix_s" in line), None),
        skipped=started.skipped,
        warnings=_warnings(root, started),
    )
    outcomes = read_outcomes(root, plan, journal)
    return build_study_result(record, outcomes, _agreement(root, plan, outcomes))


def _agreement(root: Path, plan: Iterable[PlanLine], outcomes: Iterable[RunOutcome]) -> Iterator[Agreement]:
    """How far comparable experiments agree. Samples are read of those alone."""
    folders = {line.run_id: run_folder(root, line.sequence, line.run_id) for line in plan}
    for group in comparable(outcome.result for outcome in outcomes if outcome.result is not None):
        yield from agreements(Answered(result, read_answers(folders[result.run_id])) for result in group)


def _warnings(root: Path, started: _Started) -> tuple[ResultWarning, ...]:
    """What the study was warned of when it began, and what its last `study_result.json` adds."""
    written = _written(root)
    later = written.warnings if written is not None and written.study_design_hash == started.design_hash else ()
    return tuple({(each.code, each.message): each for each in (*started.warnings, *later)}.values())


def _as_written(root: Path) -> StudyResult:
    written = _written(root)
    if written is None:
        raise UsageError(f"{root}/study_result.json cannot be used, and there are no plan and journal to rebuild it.")
    found = []
    for path in sorted((root / "runs").glob(f"*/{RESULT_FILE}")):
        try:
            found.append(read_completed(path))
        except ResultRejected:
            # study_result.json, all that is left here, counted it; only its single values are lost.
            continue
    return written.model_copy(update={"results": tuple(found)})


def _written(root: Path) -> StudyResult | None:
    try:
        return StudyResult.model_validate_json((root / "study_result.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _plan_line(root: Path, number: int, raw: bytes) -> PlanLine:
    try:
        return PlanLine.model_validate_json(raw)
    except ValidationError as error:
        raise UsageError(f"{root}/plan.jsonl:{number}: not a line of a plan; the file was edited or torn.") from error


def _journal(path: Path) -> list[dict[str, Any]]:
    """The lines up to the first that is damaged: a torn last line never happened."""
    records: list[dict[str, Any]] = []
    for raw in _lines(path):
        try:
            records.append(parse_line(raw))
        except ValueError:
            break
    return records


def _lines(path: Path) -> list[bytes]:
    try:
        return [line for line in path.read_bytes().split(b"\n") if line.strip()]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
