"""A host dies: its container goes on, is found by the next start, and counts. What other dead hosts left is removed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, NOTHING, acts, container_of, endings, left_of
from acted_runs import UNTIL_TOLD, launched, run_folder, tell
from actor_image import ACTOR_IMAGE, built
from docker_engine import Engine
from llem_process import Hosts, journal, the_study, wait_for_phase, wait_until

LONG = 'phase("measure")' + UNTIL_TOLD + "complete()"
FAILS_FIRST = 'phase("measure")' + UNTIL_TOLD + "complete() if ORDER['attempt'] == 2 else sys.exit(5)"
Llem = Callable[..., subprocess.CompletedProcess[str]]


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


def starts(study: Path) -> list[int]:
    """How often each run was started, in the order of the plan."""
    begun = [line["run_id"] for line in journal(study) if line["event"] == "run_started"]
    return [begun.count(run_id) for run_id in dict.fromkeys(begun)]


def attempt_of(study: Path, sequence: int) -> Any:
    return json.loads((run_folder(study, sequence) / "result.json").read_text())["attempt"]


def test_claim_6_10_a_run_that_outlives_its_host_is_waited_for_and_counts_and_is_not_run_twice(
    client: Any, engine: Engine, tmp_path: Path, killed_host: Callable[[str], Path], start_llem: Hosts
) -> None:
    study = killed_host(LONG)
    container = container_of(client, study, 1)
    assert container.status == "running"
    resumed = start_llem("run", "--resume", study, cwd=tmp_path, env={"DOCKER_HOST": engine.host})
    assert resumed.stdout is not None
    assert any("left by a llem that died" in line for line in iter(resumed.stdout.readline, ""))
    container.reload()
    assert container.status == "running"
    tell(study)
    resumed.communicate(timeout=60)
    assert resumed.returncode == 0
    assert endings(study) == [("completed", ""), ("completed", "")]
    assert (starts(study), attempt_of(study, 1)) == ([1, 1], 1)
    launch = launched(study)
    assert (launch["container"]["id"], launch["container"]["exit_code"]) == (container.id, 0)
    assert (launch["attempt"], launch["handle"]) == (1, container.name)
    assert launch["ended_unix_s"] > launch["started_unix_s"]
    assert (launch["engine"].split()[0], launch["gpu_driver"], launch["cache"]) == ("Docker", None, "cold")
    assert (run_folder(study) / "container.log").exists()
    assert left_of(client, tmp_path) == NOTHING


@pytest.mark.parametrize(("act", "attempt"), [(LONG, 1), (FAILS_FIRST, 2)], ids=["completed", "failed"])
def test_claim_6_10_a_run_that_ended_without_its_host_counts_if_it_completed_and_else_runs_again(
    client: Any, docker_llem: Llem, killed_host: Callable[[str], Path], tmp_path: Path, act: str, attempt: int
) -> None:
    study = killed_host(act)
    tell(study)
    container_of(client, study, 1).wait(timeout=60)
    done = docker_llem("run", "--resume", study)
    assert done.returncode == 0, done.stderr
    assert endings(study) == [("completed", ""), ("completed", "")]
    assert (starts(study), attempt_of(study, 1)) == ([attempt, 1], attempt)
    assert left_of(client, tmp_path) == NOTHING


def test_claim_6_10_a_container_that_its_host_could_not_start_any_more_is_not_waited_for(
    client: Any, docker_llem: Llem, killed_host: Callable[[str], Path], tmp_path: Path
) -> None:
    study = killed_host('phase("measure"); time.sleep(600) if ORDER["attempt"] == 1 else complete()')
    started = container_of(client, study, 1)
    started.remove(force=True)
    client.containers.create(started.image.id, name=started.name, labels=started.labels)
    done = docker_llem("run", "--resume", study)
    assert done.returncode == 0, done.stderr
    assert (starts(study), attempt_of(study, 1)) == ([2, 1], 2)
    assert left_of(client, tmp_path) == NOTHING


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Be the llem that runs the study in `folder`."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_claim_6_10_containers_of_dead_owners_are_removed_at_the_next_start_and_nobody_elses(
    client: Any, actor: str, docker_llem: Llem, tmp_path: Path
) -> None:
    dead, alive, deleted = (tmp_path / name for name in ("dead", "alive", "deleted"))
    elsewhere = tmp_path / "not" / "mounted" / "here"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / ".lock").touch()
    (tmp_path / "acts.yaml").write_text(acts(GOOD))
    # The name says what has to become of it.
    labels = {
        "removed_1": {"org.llem.folder": str(dead)},
        "removed_2": {"org.llem.folder": str(dead)},
        "removed_with_its_folder": {"org.llem.folder": str(deleted)},
        "removed_ended_elsewhere": {"org.llem.folder": str(elsewhere)},
        "kept_running_elsewhere": {"org.llem.folder": str(elsewhere)},
        "kept_of_a_living_owner": {"org.llem.folder": str(alive)},
        "kept_of_another_user": {"org.llem.folder": str(dead), "org.llem.uid": "4711"},
        "kept_without_a_folder": {},
        "kept_of_a_stranger": None,
    }
    running = ("removed_1", "kept_running_elsewhere")
    try:
        with owned(alive):
            for name, own in labels.items():
                ours = None if own is None else {"org.llem.uid": str(os.getuid()), "org.llem.study": "0" * 12, **own}
                full_name = f"{tmp_path.name}_{name}"
                sleeping: dict[str, Any] = {"entrypoint": ["sleep", "600"], "network_mode": "none"}
                container = client.containers.create(actor, name=full_name, labels=ours, **sleeping)
                if name in running:
                    container.start()
            # The lock of the folder that llem is called in is free: it is nobody's label.
            (tmp_path / ".lock").touch()
            done = docker_llem("run", "acts.yaml")
            assert done.returncode == 0, done.stderr
            there = {each.name for each in client.containers.list(all=True)}
            assert [name for name in labels if f"{tmp_path.name}_{name}" in there] == [
                name for name in labels if name.startswith("kept")
            ]
    finally:
        for container in client.containers.list(all=True, filters={"name": f"{tmp_path.name}_"}):
            container.remove(force=True)
    assert left_of(client, tmp_path) == NOTHING


@pytest.fixture(scope="module")
def thoughtful(client: Any, actor: str) -> Iterator[str]:
    """An image in which a look around takes minutes."""
    slow = "#!/bin/sh\n[ $3 = probe ] && sleep 300\nexec /usr/local/bin/python3.actor $@\n"
    dockerfile = f"""
        FROM {ACTOR_IMAGE}
        RUN ["mv", "/usr/local/bin/python3", "/usr/local/bin/python3.actor"]
        COPY python3 /usr/local/bin/python3
    """
    name = built(client, "llem-test-thoughtful:latest", dockerfile, {"python3": slow})
    yield name
    client.images.remove(name, force=True)


def looking(client: Any, parent: Path) -> Any:
    """The container that looks around for a study below `parent`, once it runs."""

    def found() -> Any:
        ours = client.containers.list(filters={"label": "org.llem.uid"})
        return next((each for each in ours if each.labels["org.llem.folder"].startswith(str(parent))), None)

    return wait_until("a look around", found)


def test_claim_6_10_a_look_around_hears_ctrl_c_and_what_a_host_that_dies_in_it_leaves_is_removed(
    client: Any, engine: Engine, thoughtful: str, docker_llem: Llem, tmp_path: Path, start_llem: Hosts
) -> None:
    (tmp_path / "slow.yaml").write_text(acts(GOOD, images={"pytorch": thoughtful}))
    (tmp_path / "good.yaml").write_text(acts(GOOD))
    host = start_llem("run", "slow.yaml", cwd=tmp_path, env={"DOCKER_HOST": engine.host})
    looking(client, tmp_path)
    os.kill(host.pid, signal.SIGINT)
    output, _ = host.communicate(timeout=60)
    assert host.returncode == 130
    assert "Interrupted before the first run: nothing was started." in output
    assert left_of(client, tmp_path) == NOTHING
    assert not (tmp_path / "results").exists()

    host = start_llem("run", "slow.yaml", cwd=tmp_path, env={"DOCKER_HOST": engine.host})
    looking(client, tmp_path)
    os.kill(host.pid, signal.SIGKILL)
    host.communicate()
    left = left_of(client, tmp_path)
    assert (len(left["containers"]), len(left["probes"])) == (1, 1)
    done = docker_llem("run", "good.yaml")
    assert done.returncode == 0, done.stderr
    assert left_of(client, tmp_path) == NOTHING
