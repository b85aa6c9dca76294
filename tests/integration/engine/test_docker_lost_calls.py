"""Calls to the engine that get no answer: each has a time-out, none is done twice, and the run goes on."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker_engine
import pytest
from acted import GOOD, NOTHING, acts, container_of, endings, kinds, left_of
from acted_runs import launched, printed
from engine_proxy import EngineProxy, Loss
from llem_process import events_of

from llem import load_study
from llem.errors import CliExit
from llem.execution.observer import Observer, RunEnding
from llem.execution.plan_file import PlannedRun
from llem.execution.start import resume_study, start_study
from llem.launch.docker import DockerLauncher
from llem.launch.docker.engine import Engine
from llem_runner.contract.events import Event

PATIENCE_S = 2
SHORT = "phase('measure'); print('said'); complete()"
GOES_ON = "phase('measure'); time.sleep(1.5); print('said'); complete()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); phase('measure'); time.sleep(600)"


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with the calls for one run: before its start, or as soon as it runs."""

    losses: dict[str, Loss]
    """What goes wrong with the next call that matches."""
    act: str = SHORT
    running: bool = False
    kept_connections: bool = False
    """Whether those are ended that are kept for the next call."""


def be_patient(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """Wait so long for an answer."""
    launcher = partial(DockerLauncher, connect=partial(Engine.connect, timeout_s=seconds))
    monkeypatch.setattr("llem.execution.where.DockerLauncher", launcher)


@pytest.fixture
def proxy(engine: docker_engine.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProxy]:
    """In front of the engine for everybody in this process, who have little patience."""
    be_patient(monkeypatch, PATIENCE_S)
    monkeypatch.chdir(tmp_path)
    proxy = EngineProxy(Path(engine.host.removeprefix("unix://")), tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", proxy.host)
    with proxy.serving():
        yield proxy


class Unlucky(Observer):
    """Lets one call go wrong for each run, in the order of the runs."""

    def __init__(self, proxy: EngineProxy, troubles: list[Trouble]) -> None:
        self._proxy = proxy
        self._troubles = troubles
        self.happened: list[bool] = []

    def study_started(self, folder: str, total: int, done: int) -> None:
        self._arm(1, running=False)

    def run_started(self, run: PlannedRun) -> None:
        self._arm(run.sequence, running=True)

    def run_ended(self, ending: RunEnding) -> None:
        self.happened.append(self._proxy.lost_all)
        self._arm(ending.run.sequence + 1, running=False)

    def _arm(self, sequence: int, running: bool) -> None:
        for trouble in self._troubles[sequence - 1 : sequence]:
            if trouble.running == running:
                if trouble.kept_connections:
                    self._proxy.drop_connections()
                for call, loss in trouble.losses.items():
                    self._proxy.lose(loss, call)


TROUBLES = {
    "answers to create and start": Trouble({"POST .*/containers/create": "answer", "POST .*/start$": "answer"}),
    "create and start": Trouble({"POST .*/containers/create": "request", "POST .*/start$": "request"}),
    "inspect": Trouble({"GET .*/containers/llem-[^/]*/json": "answer"}, GOES_ON, running=True),
    "dropped": Trouble({"GET .*/containers/llem-[^/]*/json": "connection"}, GOES_ON, running=True),
    "kept connections": Trouble({}, GOES_ON, running=True, kept_connections=True),
    "logs": Trouble({"GET .*/logs": "answer", "DELETE .*/containers/llem-": "request"}, running=True),
    "answer to remove": Trouble({"DELETE .*/containers/llem-": "answer"}, running=True),
}


def test_claim_6_11_whichever_call_gets_no_answer_each_run_has_one_container_started_once_and_completes(
    client: Any, actor: str, proxy: EngineProxy, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(acts(*(trouble.act for trouble in TROUBLES.values())))
    unlucky = Unlucky(proxy, list(TROUBLES.values()))
    end = start_study(load_study(tmp_path / "s.yaml"), unlucky)
    assert dict(zip(TROUBLES, unlucky.happened, strict=True)) == dict.fromkeys(TROUBLES, True)
    assert dict(zip(TROUBLES, endings(end.folder), strict=True)) == dict.fromkeys(TROUBLES, ("completed", ""))
    for sequence, name in enumerate(TROUBLES, start=1):
        launch = launched(end.folder, sequence)
        handle, container = launch["handle"], launch["container"]["id"]
        assert len(set(re.findall(rf"name={handle}", " ".join(proxy.calls)))) == 1, name
        starts = proxy.calls_of(f"POST .*/containers/({handle}|{container})/start")
        assert len(starts) == 1, (name, starts)
        said = printed(end.folder, sequence)
        assert ("did not answer in time" in said) if name == "logs" else (said == "said\n"), name
    assert left_of(client, tmp_path) == NOTHING


def test_claim_6_11_a_stop_and_a_kill_that_get_no_answer_end_the_run_all_the_same(
    client: Any, actor: str, proxy: EngineProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llem.execution.follow.STOP_GRACE_S", 1.0)
    deaf_to: dict[str, Loss] = {"POST .*/stop": "request", "POST .*/kill": "answer"}
    (tmp_path / "s.yaml").write_text(acts(DEAF, GOOD, execution={"stall_seconds": 4}))
    unlucky = Unlucky(proxy, [Trouble(deaf_to, DEAF, running=True)])
    end = start_study(load_study(tmp_path / "s.yaml"), unlucky)
    assert unlucky.happened == [True, True]
    assert kinds(end.folder) == ["stalled", "completed"]
    assert launched(end.folder)["state"]["exit_code"] == 137
    assert end.exit_code == CliExit.RUN_FAILED
    assert left_of(client, tmp_path) == NOTHING


class HangsThenCtrlC(Observer):
    """The engine hangs while the first run measures, and somebody wants to end the study."""

    def __init__(self, proxy: EngineProxy) -> None:
        self._proxy = proxy
        self.told: list[str] = []

    def notice(self, message: str) -> None:
        self.told.append(message)

    def run_event(self, run: PlannedRun, event: Event) -> None:
        self._proxy.hang()
        os.kill(os.getpid(), signal.SIGINT)


def test_claim_6_10_ctrl_c_ends_a_study_whose_engine_hangs_and_its_container_is_removed_when_it_goes_on(
    client: Any, actor: str, proxy: EngineProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llem.execution.follow.STOP_GRACE_S", 1.0)
    be_patient(monkeypatch, 1)
    act = "phase('measure'); time.sleep(600) if ORDER['attempt'] == 1 else complete()"
    (tmp_path / "s.yaml").write_text(acts(act))
    observer = HangsThenCtrlC(proxy)
    end = start_study(load_study(tmp_path / "s.yaml"), observer)
    assert end.exit_code == CliExit.INTERRUPTED
    assert events_of(end.folder)[-2:] == ["run_interrupted", "study_interrupted"]
    # Each of them takes its time-out, and somebody waits for the end.
    assert len(proxy.lost) <= 3, proxy.lost
    container = container_of(client, end.folder, 1)
    assert container.status == "running"
    assert [told for told in observer.told if f"docker rm -f {container.name}" in told] == observer.told[-1:]

    proxy.hang(hanging=False)
    be_patient(monkeypatch, PATIENCE_S)
    assert resume_study(end.folder, Observer()).exit_code == CliExit.OK
    assert left_of(client, tmp_path) == NOTHING
