"""A run is ended: for its time, for its silence, for a person. Afterwards its container is gone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, NOTHING, acts, container_of, endings, left_of
from acted_runs import launched
from docker_engine import Engine
from llem_process import Hosts, events_of, the_study, wait_for_phase

from llem import load_study
from llem.errors import CliExit
from llem.execution.follow import STOP_GRACE_S
from llem.execution.observer import Observer
from llem.execution.plan_file import PlannedRun
from llem.execution.start import start_study
from llem_runner.contract.events import Event, PhaseEvent

DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
phase("measure")
for done in range(600):
    event(event="progress", done=done, unit="prompts")
    time.sleep(0.2)
"""
SILENT = """
phase("measure")
time.sleep(600)
"""
ORDERLY = """
import signal
def asked(number, frame):
    report(kind="interrupted", message="asked to stop")
    sys.exit(8)
signal.signal(signal.SIGTERM, asked)
phase("measure")
time.sleep(600)
"""


class Pauses(Observer):
    """Pauses the container of one run, from outside, as soon as it measures."""

    def __init__(self, client: Any, study_parent: Path, sequence: int) -> None:
        self._client = client
        self._parent = study_parent
        self._sequence = sequence

    def run_event(self, run: PlannedRun, event: Event) -> None:
        if run.sequence == self._sequence and isinstance(event, PhaseEvent):
            container_of(self._client, the_study(self._parent), run.sequence).pause()


def test_claim_6_10_time_silence_and_a_pause_end_a_run_with_sigterm_then_sigkill_and_its_container_is_gone(
    client: Any, actor: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("llem.execution.follow.STOP_GRACE_S", 2.0)
    limits = {"timeout_seconds": 6, "stall_seconds": 4, "max_consecutive_failures": 100}
    (tmp_path / "s.yaml").write_text(acts(DEAF, SILENT, SILENT, GOOD, execution=limits))
    end = start_study(load_study(tmp_path / "s.yaml"), Pauses(client, tmp_path / "results", 3))
    assert end.exit_code == CliExit.RUN_FAILED
    deaf, silent, paused, good = endings(end.folder)
    assert deaf[0] == "timeout"
    assert "stopped in phase measure: it took longer than execution.timeout_seconds (6 s)" in deaf[1]
    assert silent[0] == "stalled"
    assert "no sign of life for execution.stall_seconds (4 s)" in silent[1]
    assert paused[0] == "stalled"
    assert good == ("completed", "")
    ends = [launched(end.folder, sequence) for sequence in (1, 2, 3)]
    # Only SIGKILL ends the first; the others go at the SIGTERM.
    assert [end["state"]["exit_code"] for end in ends] == [137, 143, 143]
    assert [end["state"]["paused"] for end in ends] == [False, False, True]
    assert [end["stopped_by_us"] for end in ends] == ["timeout", "stalled", "stalled"]
    assert left_of(client, tmp_path) == NOTHING


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_claim_6_10_one_request_ends_the_run_in_order_with_130_and_no_container_is_left(
    client: Any, actor: str, engine: Engine, tmp_path: Path, start_llem: Hosts, number: signal.Signals
) -> None:
    (tmp_path / "s.yaml").write_text(acts(ORDERLY, GOOD))
    host = start_llem("run", "s.yaml", cwd=tmp_path, env={"DOCKER_HOST": engine.host})
    study = the_study(tmp_path / "results")
    wait_for_phase(study, 1, "measure")
    os.kill(host.pid, number)
    output, _ = host.communicate(timeout=60)
    assert host.returncode == 130, output
    assert f"llem run --resume {study}" in output
    assert events_of(study)[-2:] == ["run_interrupted", "study_interrupted"]
    end = launched(study)
    assert (end["state"]["exit_code"], end["stopped_by_us"]) == (8, "interrupted")
    assert left_of(client, tmp_path) == NOTHING


def test_claim_6_10_a_second_ctrl_c_kills_the_container_at_once(
    client: Any, actor: str, engine: Engine, tmp_path: Path, start_llem: Hosts
) -> None:
    (tmp_path / "s.yaml").write_text(acts(DEAF, GOOD))
    host = start_llem("run", "s.yaml", cwd=tmp_path, env={"DOCKER_HOST": engine.host})
    study = the_study(tmp_path / "results")
    wait_for_phase(study, 1, "measure")
    os.kill(host.pid, signal.SIGINT)
    assert host.stdout is not None
    assert any("Ctrl-C again ends it at once" in line for line in iter(host.stdout.readline, ""))
    asked_unix_s = time.time()
    os.kill(host.pid, signal.SIGINT)
    host.communicate(timeout=60)
    assert host.returncode == 130
    end = launched(study)
    assert end["ended_unix_s"] - asked_unix_s < STOP_GRACE_S
    assert (end["state"]["exit_code"], end["stopped_by_us"]) == (137, "interrupted")
    assert events_of(study)[-2:] == ["run_interrupted", "study_interrupted"]
    assert left_of(client, tmp_path) == NOTHING
