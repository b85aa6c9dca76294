"""The engine goes away under a study, and comes back, or does not. The last of all tests: see conftest.py."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from acted import BUSY, GOOD, NOTHING, acts, endings, kinds, left_of
from actor_image import ACTOR_IMAGE
from docker_engine import Daemon, Engine
from engine_commands import kill_daemon
from llem_process import Hosts, the_study, wait_for_phase

from llem.checklist import Checklist
from llem.errors import CliExit
from llem.execution.observer import Observer
from llem.execution.plan_file import PlannedRun
from llem.execution.start import resume_study, start_study
from llem.launch.docker import ContainerSettings, DockerLauncher, Patience
from llem.study import load_study
from llem_runner.contract.events import Event, PhaseEvent
from llem_runner.contract.result import Image


def by_stopping(daemon: Daemon) -> None:
    """As an update does: the daemon ends its containers first."""
    daemon.stop()


def by_killing(daemon: Daemon) -> None:
    """All of it dies at once."""
    kill_daemon(daemon)


pytestmark = [
    pytest.mark.usefixtures("actor", "_nothing_is_left"),
    # Docker's SDK leaves a socket that found nobody to connect to for the garbage collector to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def _nothing_is_left(client: Any, tmp_path: Path, stoppable_engine: Engine) -> Iterator[None]:
    yield
    stoppable_engine.daemon.start()
    assert left_of(client, tmp_path) == NOTHING
    gc.collect()


@pytest.mark.parametrize("end", [by_stopping, by_killing])
def test_claim_6_13_an_engine_that_goes_and_comes_back_fails_the_run_in_hand_and_the_study_goes_on(
    stoppable_engine: Engine, tmp_path: Path, start_llem: Hosts, end: Callable[[Daemon], None]
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, BUSY, GOOD))
    host = start_llem("run", "s.yaml", cwd=tmp_path, env={"DOCKER_HOST": stoppable_engine.host})
    study = the_study(tmp_path / "results")
    wait_for_phase(study, 2, "measure")
    [first] = study.glob("runs/0001-*/result.json")
    before = first.read_bytes()
    end(stoppable_engine.daemon)
    assert host.stdout is not None
    assert any("The container engine does not answer: waiting for it" in line for line in host.stdout)
    stoppable_engine.daemon.start()
    output, _ = host.communicate(timeout=120)
    assert host.returncode == 1, output
    assert kinds(study) == ["completed", "engine_unreachable", "completed"]
    assert "the container engine went away while the run was going on" in endings(study)[1][1]
    assert first.read_bytes() == before


def test_claim_6_13_an_engine_that_is_away_when_a_run_is_to_begin_is_waited_for(
    stoppable_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Restarts(Observer):
        def gap(self, seconds: float) -> None:
            stoppable_engine.daemon.stop()
            Timer(1.0, stoppable_engine.daemon.start).start()

    (tmp_path / "s.yaml").write_text(acts(GOOD, GOOD, execution={"cycle_gap_seconds": 0.01}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", stoppable_engine.host)
    end = start_study(load_study(tmp_path / "s.yaml"), Restarts())
    assert end.exit_code is CliExit.OK
    assert kinds(end.folder) == ["completed", "completed"]


class StopsTheEngine(Observer):
    """Stops the engine under the second run."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run_event(self, run: PlannedRun, event: Event) -> None:
        if run.sequence == 2 and isinstance(event, PhaseEvent):
            self._engine.daemon.stop()


class ActorsLauncher(DockerLauncher):
    """The launcher as it is made for a study, in the actor's image; only its patience is ours."""

    def __init__(self, patience: Patience) -> None:
        super().__init__(
            ContainerSettings(),
            wants_gpus=False,
            stop=lambda seconds: bool(time.sleep(seconds)),
            notice=print,
            patience=patience,
        )

    def prepare(
        self,
        backends: Sequence[str],
        images: Mapping[str, str],
        parent: Path,
        checklist: Checklist,
        resumed: str | None = None,
    ) -> Mapping[str, Image]:
        return super().prepare(backends, {**images, "pytorch": ACTOR_IMAGE}, parent, checklist, resumed)


def test_claim_6_13_an_engine_that_does_not_come_back_ends_the_study_in_order_and_it_goes_on_another_day(
    stoppable_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = f"if ORDER['attempt'] == 1:\n    phase('measure'); time.sleep(120)\n{GOOD}"
    (tmp_path / "s.yaml").write_text(acts(GOOD, hangs, GOOD))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", stoppable_engine.host)
    launcher = ActorsLauncher(Patience(run_s=1, start_s=1))
    end = start_study(load_study(tmp_path / "s.yaml"), StopsTheEngine(stoppable_engine), launcher)
    assert end.exit_code is CliExit.RUN_FAILED
    assert kinds(end.folder) == ["completed", "engine_unreachable", "engine_unreachable"]
    in_hand, never_begun = (message for _, message in endings(end.folder)[1:])
    assert "went away while the run was going on. Start it again, then resume the study." in in_hand
    assert "Is the engine running (docker info)?" in never_begun
    [first] = end.folder.glob("runs/0001-*/result.json")
    before = first.read_bytes()

    stoppable_engine.daemon.start()
    end = resume_study(end.folder, Observer(), ActorsLauncher(Patience()))
    assert end.exit_code is CliExit.OK
    assert first.read_bytes() == before
    assert len(list(end.folder.glob("runs/*/result.json"))) == 3
