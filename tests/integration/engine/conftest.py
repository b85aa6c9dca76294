"""A client of the test engine."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, acts
from actor_image import actor_image
from docker_engine import Engine
from llem_process import Hosts, llem, the_study, wait_for_phase
from puller import Puller
from registry import Registry, forget, registry

from llem.launch.docker.engine import Engine as LlemsEngine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who stops the engine comes last: what others of us keep on it would not live through that."""
    items.sort(key=lambda item: "stoppable_engine" in getattr(item, "fixturenames", ()))


@pytest.fixture
def stoppable_engine(engine: Engine, client: Any) -> Iterator[Engine]:
    """The engine for a test that stops it: up again at the end. Fails where a container of somebody else runs."""
    running = [container.name for container in client.containers.list(ignore_removed=True)]
    assert not running, f"the engine cannot be stopped: containers of others run on it ({', '.join(running)})"
    try:
        yield engine
    finally:
        engine.daemon.start()


@pytest.fixture(scope="session")
def client(engine: Engine) -> Iterator[Any]:
    """A `docker.DockerClient` of the test engine."""
    client = engine.client(timeout_s=300)
    yield client
    client.close()


@pytest.fixture(scope="session")
def actor(client: Any) -> str:
    """The name of an image whose runs play what a test writes (`actor_image.py`)."""
    return actor_image(client)


@pytest.fixture
def repository(client: Any) -> Iterator[str]:
    """A repository for one test; whatever the engine has of it at the end is removed."""
    name = f"llem-test/{secrets.token_hex(4)}"
    yield name
    forget(client, name)


@pytest.fixture
def puller(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Puller]:
    """Pulls on the test engine, with no login at any registry."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-login"))
    made = Puller(LlemsEngine.connect())
    yield made
    made.engine.close()


@pytest.fixture(scope="module")
def public(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that lets everybody in."""
    with registry(tmp_path_factory.mktemp("public") / "data", engine.programs) as made:
        yield made


@pytest.fixture
def docker_llem(engine: Engine, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`llem ARGUMENTS…` in the test's folder, with the test engine as the machine's."""

    def run(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return llem(*arguments, cwd=tmp_path, env={"DOCKER_HOST": engine.host, **(env or {})})

    return run


@pytest.fixture
def start_llem() -> Iterator[Hosts]:
    """Starts `llem` in the background; what still runs at the test's end is killed."""
    hosts = Hosts()
    yield hosts
    hosts.close()


@pytest.fixture
def killed_host(engine: Engine, actor: str, tmp_path: Path, start_llem: Hosts) -> Callable[[str], Path]:
    """Starts a study of an act and a good run, kills its host in the act; the study's folder."""

    def kill(act: str) -> Path:
        (tmp_path / "s.yaml").write_text(acts(act, GOOD))
        host = start_llem("run", "s.yaml", cwd=tmp_path, env={"DOCKER_HOST": engine.host})
        study = the_study(tmp_path / "results")
        wait_for_phase(study, 1, "measure")
        os.kill(host.pid, signal.SIGKILL)
        host.communicate()
        return study

    return kill
