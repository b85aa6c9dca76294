"""A host dies: its container goes on, is found by the next start, and counts. What other dead hosts left is removed."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, NOTHING, acts, container_of, endings, kinds, left_of
from acted_runs import UNTIL_TOLD, launched, run_folder, tell
from actor_image import ACTOR_IMAGE, built
from docker_engine import Engine
from llem_process import Hosts, journal, wait_until

LONG = 'phase("measure")' + UNTIL_TOLD + "complete()"
FAILS_FIRST = 'phase("measure")' + UNTIL_TOLD + "complete() if ORDER['attempt'] == 2 else sys.exit(5)"
Llem = Callable[..., subprocess.CompletedProcess[str]]


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
    # What the first attempt failed of is told, and not counted.
    failed = [] if attempt == 1 else ["accelerator_oom"]
    assert kinds(study) == [*failed, "completed", "completed"]
    assert ("which went on without its llem, failed (" in done.stderr) == bool(failed)
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
    for folder in (dead, alive):
        folder.mkdir()
        (folder / ".lock").touch()
    (tmp_path / "acts.yaml").write_text(acts(GOOD))
    # The name says what has to become of it.
    labels = {
        "removed_running": {"org.llem.folder": str(dead)},
        "removed_ended": {"org.llem.folder": str(dead)},
        # Moved, or on a disk that is not mounted here: whoever started it may wait for it.
        "kept_unseen_running": {"org.llem.folder": str(deleted)},
        "kept_unseen_ended": {"org.llem.folder": str(deleted)},
        "kept_of_a_living_owner": {"org.llem.folder": str(alive)},
        "kept_of_another_user": {"org.llem.folder": str(dead), "org.llem.uid": "4711"},
        "kept_without_a_folder": {},
        # As made from an image that carries our labels.
        "kept_by_its_name": {"org.llem.folder": str(dead)},
        "kept_of_a_stranger": None,
    }
    names = {key: f"llem-{'0' * 12}-{key}-{secrets.token_hex(16)}" for key in labels}
    names["kept_by_its_name"] = f"own-{secrets.token_hex(16)}"
    try:
        with owned(alive):
            for key, own in labels.items():
                study = {"org.llem.study": "0" * 12, "org.llem.run": key}
                ours = None if own is None else {"org.llem.uid": str(os.getuid()), **study, **own}
                sleeping: dict[str, Any] = {"entrypoint": ["sleep", "600"], "network_mode": "none"}
                container = client.containers.create(actor, name=names[key], labels=ours, **sleeping)
                if key.endswith("running"):
                    container.start()
            # The lock of the folder that llem is called in is free: it is nobody's label.
            (tmp_path / ".lock").touch()
            done = docker_llem("run", "acts.yaml")
            assert done.returncode == 0, done.stderr
            there = {each.name for each in client.containers.list(all=True)}
            assert [key for key in labels if names[key] in there] == [key for key in labels if key.startswith("kept")]
    finally:
        for container in client.containers.list(all=True):
            if container.name in names.values():
                container.remove(force=True)
    for key, name in names.items():
        assert (f"docker rm -f {name}" in done.stderr) == ("unseen" in key or key == "kept_without_a_folder")
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
