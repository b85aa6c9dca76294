"""The host is killed, interrupted, or sees its runs die. Real processes throughout."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

from llem_process import (
    ENDLESS,
    TINY,
    Hosts,
    events_of,
    journal,
    llem,
    processes_of,
    runner_of,
    the_study,
    wait_for_phase,
    wait_until,
)

from llem.execution.follow import STOP_GRACE_S

TWO_RUNS = TINY + "execution: {n_cycles: 2}\n"


def test_claim_17_after_sigkill_the_finished_run_stays_and_the_rest_runs_and_claim_15_no_runner_is_left(
    tmp_path: Path, start_llem: Hosts
) -> None:
    (tmp_path / "s.yaml").write_text(TWO_RUNS)
    host = start_llem("run", "s.yaml", cwd=tmp_path)
    study = the_study(tmp_path / "results")
    wait_for_phase(study, 2, "load")
    os.kill(host.pid, signal.SIGKILL)
    host.communicate()
    wait_until("the runner to end itself", lambda: not processes_of(study), 30)
    [first] = study.glob("runs/0001-*/result.json")
    before = (first.read_bytes(), first.stat().st_mtime_ns)

    done = llem("run", "--resume", study, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 2 runs are completed already" in done.stderr
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before
    starts = [line["run_id"] for line in journal(study) if line["event"] == "run_started"]
    assert sorted(starts) == sorted([starts[0], starts[1], starts[1]])
    assert json.loads(next(study.glob("runs/0002-*/result.json")).read_text())["attempt"] == 2
    assert events_of(study)[-1] == "study_completed"


def test_claim_18_one_ctrl_c_ends_in_order_with_130_and_the_command_that_goes_on(
    tmp_path: Path, start_llem: Hosts
) -> None:
    (tmp_path / "s.yaml").write_text(ENDLESS)
    host = start_llem("run", "s.yaml", cwd=tmp_path)
    study = the_study(tmp_path / "results")
    run = wait_for_phase(study, 1, "measure")
    os.kill(host.pid, signal.SIGINT)
    output, _ = host.communicate(timeout=60)
    assert host.returncode == 130
    assert re.search(rf"Go on with:  \S*llem run --resume {re.escape(str(study))}", output)
    assert events_of(study)[-2:] == ["run_interrupted", "study_interrupted"]
    assert not processes_of(study)
    assert json.loads((run / "out" / "error.json").read_text())["kind"] == "interrupted"
    summary = json.loads((study / "study_result.json").read_text())
    assert summary["runs"] == {"total": 1, "completed": 0, "failed": 0, "interrupted": 1}


def test_claim_18_a_second_ctrl_c_kills_at_once_and_nothing_of_ours_stays(tmp_path: Path, start_llem: Hosts) -> None:
    (tmp_path / "s.yaml").write_text(ENDLESS)
    host = start_llem("run", "s.yaml", cwd=tmp_path)
    study = the_study(tmp_path / "results")
    wait_for_phase(study, 1, "measure")
    # A stopped process cannot end in order: only the second request can end it before the grace is over.
    runner_of(study).suspend()
    os.kill(host.pid, signal.SIGINT)
    assert host.stdout is not None
    assert any("Ctrl-C again ends it at once" in line for line in iter(host.stdout.readline, ""))
    asked_unix_s = time.time()
    os.kill(host.pid, signal.SIGINT)
    host.communicate(timeout=60)
    assert host.returncode == 130
    [launch] = study.glob("runs/*/launch.json")
    assert json.loads(launch.read_text())["ended_unix_s"] - asked_unix_s < STOP_GRACE_S
    assert not processes_of(study)
    assert events_of(study)[-1] == "study_interrupted"


def run_and(
    start_llem: Hosts, tmp_path: Path, execution: str, phase: str, signal_number: signal.Signals
) -> tuple[int, str, Path]:
    """Send the runner a signal in `phase`; exit code, kind of the failure and study folder."""
    (tmp_path / "s.yaml").write_text(ENDLESS + execution)
    host = start_llem("run", "s.yaml", cwd=tmp_path)
    study = the_study(tmp_path / "results")
    wait_for_phase(study, 1, phase)
    runner_of(study).send_signal(signal_number)
    host.communicate(timeout=120)
    [failed] = [line for line in journal(study) if line["event"] == "run_failed"]
    return host.returncode, failed["kind"], study


def test_claim_22_a_runner_killed_from_outside_is_killed(tmp_path: Path, start_llem: Hosts) -> None:
    code, kind, study = run_and(start_llem, tmp_path, "", "measure", signal.SIGKILL)
    assert (code, kind) == (1, "killed")
    assert not processes_of(study)


def test_claim_22_a_silent_run_is_stalled_and_claim_15_its_whole_group_is_killed(
    tmp_path: Path, start_llem: Hosts
) -> None:
    code, kind, study = run_and(start_llem, tmp_path, "execution: {stall_seconds: 20}\n", "measure", signal.SIGSTOP)
    assert (code, kind) == (1, "stalled")
    assert not processes_of(study)


def test_claim_22_a_run_over_its_time_is_a_timeout_and_the_next_one_runs(tmp_path: Path) -> None:
    text = ENDLESS.replace("n: 2\n", "") + "sweep: {n: [1, 2]}\nexecution: {timeout_seconds: 12}\n"
    (tmp_path / "s.yaml").write_text(text)
    done = llem("run", "s.yaml", cwd=tmp_path)
    assert done.returncode == 1
    study = the_study(tmp_path / "results")
    assert [line["kind"] for line in journal(study) if line["event"] == "run_failed"] == ["timeout", "timeout"]
    assert "execution.timeout_seconds (12 s)" in done.stdout
    assert not processes_of(study)


def test_claim_14_sigterm_ends_a_run_in_order_with_error_json_and_exit_8(tmp_path: Path, start_llem: Hosts) -> None:
    code, kind, study = run_and(start_llem, tmp_path, "", "measure", signal.SIGTERM)
    assert (code, kind) == (1, "killed")
    [launch] = study.glob("runs/*/launch.json")
    assert json.loads(launch.read_text())["state"]["exit_code"] == 8
    [error] = study.glob("runs/*/out/error.json")
    report = json.loads(error.read_text())
    assert (report["kind"], report["phase"]) == ("interrupted", "measure")
    assert "Traceback" in report["traceback"]


def test_claim_22_a_full_disk_stops_the_study_with_exit_3_and_what_was_measured_is_untouched(
    small_disk: Path, start_llem: Hosts
) -> None:
    (small_disk / "s.yaml").write_text(TINY + "execution: {n_cycles: 20}\n")
    host = start_llem("run", "s.yaml", cwd=small_disk)
    study = the_study(small_disk / "results")
    wait_for_phase(study, 2, "load")
    fill(small_disk / "ballast")
    output, _ = host.communicate(timeout=180)
    assert host.returncode == 3, output
    assert "the journal cannot be written" in output
    assert "Traceback" not in output
    assert not processes_of(study)
    [first] = study.glob("runs/0001-*/result.json")
    before = first.read_bytes()
    assert json.loads(before)["run_id"]
    (small_disk / "ballast").unlink()
    host = start_llem("run", "--resume", study, cwd=small_disk)
    wait_for_phase(study, 3, "load")
    os.kill(host.pid, signal.SIGINT)
    host.communicate(timeout=60)
    assert host.returncode == 130
    assert first.read_bytes() == before
    assert journal(study)[-1]["seq"] == len(journal(study))


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as ballast:
        while True:
            try:
                ballast.write(b"x" * 4096)
            except OSError:
                return
