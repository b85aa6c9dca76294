"""The loop with the real journal, folders and reading of results; the runs themselves are played."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_launcher import Script, ScriptedLauncher, completes, exits, valid_result, write_out

from llem.ended import Ended
from llem.errors import CliExit, UsageError
from llem.execution.journal import read_journal
from llem.execution.observer import Observer, RunEnding
from llem.execution.start import StudyEnd, resume_study, start_study
from llem.launch.protocol import Attempt
from llem.study import parse_study

STUDY = """
model: builtin:tiny-llama
n: 3
sweep: {pytorch.batch_size: [1, 2]}
execution: {n_cycles: 2, cycle_order: interleaved%s}
"""


def run(tmp_path: Path, launcher: ScriptedLauncher, execution: str = "", observer: Observer | None = None) -> StudyEnd:
    study = parse_study(STUDY % execution + f"output: {{folder: {tmp_path / 'results'}}}\n", source=tmp_path / "s.yaml")
    return start_study(study, observer or Observer(), launcher)


def events(end: StudyEnd) -> list[str]:
    return [line["event"] for line in read_journal(end.folder / "journal.jsonl")]


def kinds(end: StudyEnd) -> list[str]:
    return [failure.kind for failure in end.result.failures]


def test_claim_17_a_study_that_goes_well_journals_every_transition(tmp_path: Path) -> None:
    end = run(tmp_path, ScriptedLauncher())
    assert end.exit_code is CliExit.OK
    assert events(end) == ["study_started", *["run_started", "run_completed"] * 4, "study_completed"]
    lines = read_journal(end.folder / "journal.jsonl")
    assert {"study_uid", "design_hash", "plan_hash", "version"} <= lines[0].keys()
    assert {"run_id", "attempt", "handle"} <= lines[1].keys()
    assert lines[1]["handle"].startswith(f"llem-{lines[0]['study_uid']}-{lines[1]['run_id']}-")


def test_claim_17_the_manifest_is_small_and_says_where_the_study_is(tmp_path: Path) -> None:
    end = run(tmp_path, ScriptedLauncher())
    manifest = json.loads((end.folder / "manifest.json").read_text())
    assert manifest["status"] == "completed"
    assert manifest["runs"] == {"total": 4, "completed": 4, "failed": 0, "interrupted": 0}
    assert manifest["run_in_hand"] is None


def test_claim_16_the_host_completes_the_result_with_what_only_it_knows(tmp_path: Path) -> None:
    end = run(tmp_path, ScriptedLauncher())
    [first, *_] = sorted((end.folder / "runs").iterdir())
    written = json.loads((first / "result.json").read_text())
    assert (written["experiment_id"], written["cycle"], written["attempt"]) == (first.name[5:17], 1, 1)


def link_result(attempt: Attempt) -> Ended:
    target = attempt.folder / "elsewhere.json"
    target.write_text(json.dumps(valid_result(attempt)))
    (attempt.folder / "out" / "result.json").symlink_to(target)
    return Ended(0)


def pipe_result(attempt: Attempt) -> Ended:
    os.mkfifo(attempt.folder / "out" / "result.json")
    return Ended(0)


def linked_out(attempt: Attempt) -> Ended:
    (attempt.folder / "out").rename(attempt.folder / "moved")
    (attempt.folder / "out").symlink_to(attempt.folder / "moved")
    write_out(attempt, "result.json", valid_result(attempt))
    return Ended(0)


def result_with(**changes: Any) -> Script:
    def script(attempt: Attempt) -> Ended:
        write_out(attempt, "result.json", valid_result(attempt, changes))
        return Ended(0)

    return script


def torn(attempt: Attempt) -> Ended:
    write_out(attempt, "result.json", json.dumps(valid_result(attempt))[:-30])
    return Ended(0)


def pipe_events(attempt: Attempt) -> Ended:
    os.mkfifo(attempt.folder / "out" / "events.jsonl")
    write_out(attempt, "result.json", valid_result(attempt))
    return Ended(0)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (torn, "result_invalid"),
        (exits(0), "result_invalid"),
        (link_result, "result_invalid"),
        (pipe_result, "result_invalid"),
        (linked_out, "result_invalid"),
        (result_with(nonce="f" * 32), "result_invalid"),
        (result_with(run_id="another-c1"), "result_invalid"),
        (result_with(contract_version=99), "result_invalid"),
        (exits(2), "contract_mismatch"),
        (exits(5), "accelerator_oom"),
        (exits(-9), "killed"),
        (exits(-11), "runner_crash"),
        (exits(127), "image_unusable"),
    ],
)
def test_claim_22_one_bad_run_has_its_kind_and_the_study_goes_on(tmp_path: Path, script: Script, kind: str) -> None:
    launcher = ScriptedLauncher()
    first = parse_first_run_id(tmp_path)
    launcher.by_run[first] = script
    end = run(tmp_path, launcher)
    assert kinds(end) == [kind]
    assert end.result.runs.completed == 3
    assert end.exit_code is CliExit.RUN_FAILED
    assert not list((end.folder / "runs").glob(f"*-{first}/result.json"))


def parse_first_run_id(tmp_path: Path) -> str:
    from llem.study import make_plan

    return make_plan(parse_study(STUDY % "", source=tmp_path / "s.yaml")).runs[0].run_id


def test_claim_16_events_that_are_a_pipe_do_not_hang_the_host(tmp_path: Path) -> None:
    from llem.launch.local import LocalLauncher

    folder = tmp_path / "run"
    (folder / "out").mkdir(parents=True)
    os.mkfifo(folder / "out" / "events.jsonl")
    launcher = LocalLauncher(gpus=[])
    launcher._folders["h"], launcher._ends["h"] = folder, Ended(0)
    assert launcher.poll("h", 0).events == b""


def test_claim_22_a_folder_of_a_run_that_cannot_be_written_fails_that_run_only(tmp_path: Path) -> None:
    first = parse_first_run_id(tmp_path)

    class InTheWay(Observer):
        def study_started(self, folder: str, total: int, done: int) -> None:
            (Path(folder) / "runs" / f"0001-{first}").write_text("a file where a folder should be")

    end = run(tmp_path, ScriptedLauncher(), observer=InTheWay())
    assert kinds(end) == ["disk"]
    assert end.result.runs.completed == 3


def test_a_limit_of_failures_in_a_row_ends_the_study_with_exit_1(tmp_path: Path) -> None:
    end = run(tmp_path, ScriptedLauncher(exits(7)), ", max_consecutive_failures: 2")
    assert end.reason == "consecutive_failures"
    assert kinds(end) == ["inference", "inference"]
    assert end.exit_code is CliExit.RUN_FAILED
    assert events(end)[-1] == "study_interrupted"


def test_a_success_in_between_resets_the_count_of_failures(tmp_path: Path) -> None:
    calls = Counter[str]()

    def every_second(attempt: Attempt) -> Ended:
        calls["n"] += 1
        return completes(attempt) if calls["n"] % 2 == 0 else Ended(7)

    end = run(tmp_path, ScriptedLauncher(every_second), ", max_consecutive_failures: 2")
    assert end.reason == "plan_done"
    assert end.result.runs.failed == 2


def test_pauses_come_before_each_run_but_the_first(tmp_path: Path) -> None:
    pauses: list[float] = []

    class Listening(Observer):
        def gap(self, seconds: float) -> None:
            pauses.append(seconds)

    run(tmp_path, ScriptedLauncher(), ", experiment_gap_seconds: 0.01, cycle_gap_seconds: 0.02", Listening())
    assert pauses == [0.01, 0.02, 0.01]


def test_claim_17_failed_runs_run_again_on_resume_and_their_out_folder_is_kept_aside(tmp_path: Path) -> None:
    first = parse_first_run_id(tmp_path)
    launcher = ScriptedLauncher(by_run={first: torn})
    end = run(tmp_path, launcher)
    again = ScriptedLauncher()
    resumed = resume_study(end.folder, Observer(), again)
    assert resumed.exit_code is CliExit.OK
    assert again.started == [(first, 2)]
    folder = end.folder / "runs" / f"0001-{first}"
    assert (folder / "out.1" / "result.json").is_file()
    assert json.loads((folder / "result.json").read_text())["attempt"] == 2


def test_claim_17_a_whole_result_that_a_killed_host_left_in_out_is_collected_and_not_run_again(tmp_path: Path) -> None:
    end = run(tmp_path, ScriptedLauncher())
    for result in (end.folder / "runs").glob("*/result.json"):
        result.unlink()
    again = ScriptedLauncher()
    resumed = resume_study(end.folder, Observer(), again)
    assert again.started == []
    assert resumed.result.runs.completed == 4


def test_a_dataset_that_changed_under_a_study_is_refused_on_resume(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("one\ntwo\nthree\n")
    text = f"model: builtin:tiny-llama\nn: 3\ndataset: ./p.txt\noutput: {{folder: {tmp_path / 'results'}}}\n"
    end = start_study(parse_study(text, source=tmp_path / "s.yaml"), Observer(), ScriptedLauncher(exits(7)))
    (tmp_path / "p.txt").write_text("one\ntwo\nfour\n")
    with pytest.raises(UsageError, match="changed since this study began"):
        resume_study(end.folder, Observer(), ScriptedLauncher())


class KilledNow(BaseException):
    """The host dies here: nothing after this line runs."""


def dies_at(call: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """From now on the `call`-th system call that makes something last is the last thing that the host does."""
    counted = Counter[str]()
    real = {name: getattr(os, name) for name in ("fsync", "replace", "rename")}

    def wrapped(name: str) -> Callable[..., Any]:
        def step(*arguments: Any, **keywords: Any) -> Any:
            counted["steps"] += 1
            if counted["steps"] > call:
                raise KilledNow
            return real[name](*arguments, **keywords)

        return step

    for name in real:
        monkeypatch.setattr(os, name, wrapped(name))
    return lambda: counted["steps"]


def test_claim_17_killed_at_any_step_a_study_resumes_and_no_run_with_a_result_runs_twice(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as counting:
        steps = dies_at(10_000, counting)
        run(tmp_path / "whole", ScriptedLauncher())
        total = steps()
    assert total > 20
    for call in range(total):
        base = tmp_path / f"killed-{call}"
        first = ScriptedLauncher()
        with pytest.MonkeyPatch.context() as dying, pytest.raises(KilledNow):
            dies_at(call, dying)
            run(base, first)
        folders = list((base / "results").iterdir())
        if not folders or not (folders[0] / "journal.jsonl").exists() or not read_journal(folders[0] / "journal.jsonl"):
            continue  # it died before the study began: there is nothing to resume
        finished = {path.parent.name[5:]: path.stat().st_mtime_ns for path in folders[0].glob("runs/*/result.json")}
        again = ScriptedLauncher()
        end = resume_study(folders[0], Observer(), again)
        assert end.exit_code is CliExit.OK, call
        assert not finished.keys() & {run_id for run_id, _ in again.started}, call
        after = {path.parent.name[5:]: path.stat().st_mtime_ns for path in folders[0].glob("runs/*/result.json")}
        assert finished.items() <= after.items(), call
        assert len(after) == 4


def test_the_wall_clock_limit_ends_the_study_between_two_runs(tmp_path: Path) -> None:
    def slow(attempt: Attempt) -> Ended:
        time.sleep(0.05)
        return completes(attempt)

    end = run(tmp_path, ScriptedLauncher(slow), ", wall_clock_limit_hours: 0.00001")
    assert end.reason == "wall_clock"
    assert end.result.runs.completed == 1
    assert end.exit_code is CliExit.RUN_FAILED


def test_claim_17_a_failed_run_runs_again_even_if_it_left_something_that_looks_like_a_result(tmp_path: Path) -> None:
    def writes_and_crashes(attempt: Attempt) -> Ended:
        completes(attempt)
        return Ended(-11)

    end = run(tmp_path, ScriptedLauncher(writes_and_crashes))
    assert set(kinds(end)) == {"runner_crash"}
    again = ScriptedLauncher()
    assert resume_study(end.folder, Observer(), again).exit_code is CliExit.OK
    assert len(again.started) == 4


@pytest.mark.parametrize(
    "changes", [{"experiment.n": 99}, {"backend": "vllm"}, {"experiment.model": "builtin:smollm2-135m"}]
)
def test_claim_16_a_result_of_another_experiment_is_not_believed(tmp_path: Path, changes: dict[str, Any]) -> None:
    end = run(tmp_path, ScriptedLauncher(result_with(**changes)))
    assert set(kinds(end)) == {"result_invalid"}
    assert "another experiment" in end.result.failures[0].message


@pytest.mark.parametrize(
    "timeline",
    [b'"a,b",c\n1,2\n', b"\xef\xbb\xbfmonotonic_s,device\n1,x\n", b"\xff,\xff\n", b"", b"x" * 100_000, b"\0" * 1000],
)
def test_claim_16_a_hostile_timeline_costs_the_run_nothing(tmp_path: Path, timeline: bytes) -> None:
    notices: list[str] = []

    class Listening(Observer):
        def notice(self, message: str) -> None:
            notices.append(message)

    def script(attempt: Attempt) -> Ended:
        (attempt.folder / "out" / "power.csv").write_bytes(timeline)
        return completes(attempt)

    end = run(tmp_path, ScriptedLauncher(script), observer=Listening())
    assert end.exit_code is CliExit.OK
    assert not list(end.folder.glob("runs/*/power.parquet"))
    assert sum("power.parquet was not made" in notice for notice in notices) == 4


def test_claim_18_signals_that_come_together_are_an_interrupt_and_not_a_killed_run(tmp_path: Path) -> None:
    def script(attempt: Attempt) -> Ended:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        return Ended(-9)

    end = run(tmp_path, ScriptedLauncher(script))
    assert end.reason == "interrupted"
    assert end.exit_code is CliExit.INTERRUPTED
    assert events(end)[-2:] == ["run_interrupted", "study_interrupted"]
    assert json.loads((end.folder / "manifest.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize(("code", "asked", "shown"), [(7, False, ("one", "two")), (8, True, ())])
def test_the_last_words_of_a_run_are_shown_where_it_failed_and_not_where_somebody_ended_it(
    tmp_path: Path, code: int, asked: bool, shown: tuple[str, ...]
) -> None:
    class Listening(Observer):
        def run_ended(self, ending: RunEnding) -> None:
            assert ending.last_words == shown

    def script(attempt: Attempt) -> Ended:
        (attempt.folder / "container.log").write_text("one\ntwo\n")
        if asked:
            os.kill(os.getpid(), signal.SIGINT)
        return Ended(code)

    run(tmp_path, ScriptedLauncher(script), observer=Listening())


def test_whatever_an_observer_does_the_runner_is_stopped_and_the_manifest_says_so(tmp_path: Path) -> None:
    class Broken(Observer):
        def run_started(self, run: Any) -> None:
            raise ValueError("a bug of the program around us")

    launcher = ScriptedLauncher()
    with pytest.raises(ValueError, match="a bug"):
        run(tmp_path, launcher, observer=Broken())
    assert launcher.stopped == 1
    [manifest] = tmp_path.glob("results/*/manifest.json")
    assert json.loads(manifest.read_text())["status"] == "stopped"


def test_a_limit_ends_the_study_without_a_pause_before_it(tmp_path: Path) -> None:
    pauses: list[float] = []

    class Listening(Observer):
        def gap(self, seconds: float) -> None:
            pauses.append(seconds)

    limits = ", max_consecutive_failures: 1, experiment_gap_seconds: 60, cycle_gap_seconds: 60"
    assert run(tmp_path, ScriptedLauncher(exits(7)), limits, Listening()).reason == "consecutive_failures"
    assert pauses == []
