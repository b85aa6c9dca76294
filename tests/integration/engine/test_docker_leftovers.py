"""Containers that outlived their llem: what becomes of them, and of who wants their GPU."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, NOTHING, acts, container_of, endings, kinds, left_of
from acted_runs import UNTIL_TOLD, launched, run_folder, tell
from actor_image import built
from docker_engine import Engine, SimulatedGpus
from llem_process import Hosts, journal, the_study, wait_for_phase
from simulated_nvml import h100

from llem.launch.local import LocalLauncher

Llem = Callable[..., "subprocess.CompletedProcess[str]"]

SECOND = h100(1).uuid
LONG = f"phase('measure'){UNTIL_TOLD}complete()"


@contextmanager
def of_another_user(client: Any, image: str, folder: Path, gpu: str) -> Iterator[Any]:
    """A container of another user's study that has a GPU, running."""
    name = f"llem-{'0' * 12}-run-{secrets.token_hex(16)}"
    labels = {"study": "0" * 12, "run": "run", "folder": str(folder), "uid": "4711", "gpus": f"GPU-x,{gpu}"}
    container = client.containers.run(
        image,
        entrypoint=["sleep", "600"],
        name=name,
        labels={f"org.llem.{key}": value for key, value in labels.items()},
        network_mode="none",
        detach=True,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def heard(host: subprocess.Popen[str], words: str) -> None:
    """Read a host's output until it says so."""
    assert host.stdout is not None
    impatience = threading.Timer(120, host.kill)
    impatience.start()
    lines: list[str] = []
    try:
        for line in iter(host.stdout.readline, ""):
            lines.append(line)
            if words in line:
                return
    finally:
        impatience.cancel()
    raise AssertionError(f"{words} was not said: {lines}")


def test_claim_6_5_a_gpu_is_not_free_while_a_container_uses_it_whose_llem_died(
    client: Any, actor: str, engine: Engine, engine_gpus: SimulatedGpus, tmp_path: Path, start_llem: Hosts
) -> None:
    env = {"DOCKER_HOST": engine.host}
    hosts = []
    for name, act in (("a", LONG), ("b", GOOD)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "s.yaml").write_text(acts(act, device="cuda", execution={"gpus": [1]}))
        hosts.append(start_llem("run", "s.yaml", cwd=tmp_path / name, env=env))
        if name == "a":
            first = the_study(tmp_path / "a" / "results")
            wait_for_phase(first, 1, "measure")
    heard(hosts[1], f"GPU {SECOND} is in use by another llem run")
    left = client.containers.get(launched(first)["handle"])
    with of_another_user(client, actor, tmp_path, SECOND) as foreign:
        os.kill(hosts[0].pid, signal.SIGKILL)
        # Ours, whose study nobody goes on with, is in the way and goes; that of another user is waited for.
        heard(hosts[1], f"GPU {SECOND} is in use by container {foreign.name} of user 4711; waiting for it.")
        assert left.name not in {each.name for each in client.containers.list(all=True)}
        foreign.kill()
        assert hosts[1].wait(timeout=120) == 0
    assert endings(the_study(tmp_path / "b" / "results")) == [("completed", "")]
    assert left_of(client, tmp_path) == NOTHING


def test_claim_6_10_a_run_that_outlived_its_host_is_waited_for_though_its_study_was_moved(
    client: Any, killed_host: Callable[[str], Path], engine: Engine, tmp_path: Path, start_llem: Hosts
) -> None:
    study = killed_host(LONG)
    handle = launched(study)["handle"]
    moved = tmp_path / "elsewhere" / study.name
    moved.parent.mkdir()
    study.rename(moved)
    resumed = start_llem("run", "--resume", moved, cwd=tmp_path, env={"DOCKER_HOST": engine.host})
    heard(resumed, "left by a llem that died")
    assert client.containers.get(handle).status == "running"
    (next(moved.glob("runs/0001-*")) / "in" / "go").touch()
    assert resumed.wait(timeout=120) == 0
    assert endings(moved) == [("completed", ""), ("completed", "")]
    assert launched(moved)["handle"] == handle
    assert left_of(client, tmp_path) == NOTHING


def test_claim_6_10_a_run_that_ended_alone_is_taken_though_its_image_is_gone_and_names_it(
    client: Any, actor: str, engine: Engine, tmp_path: Path, start_llem: Hosts, docker_llem: Llem
) -> None:
    image = built(client, f"llem-test-gone-{secrets.token_hex(4)}:latest", f"FROM {actor}\nLABEL gone=soon\n", {})
    try:
        (tmp_path / "s.yaml").write_text(acts(LONG, GOOD, images={"pytorch": {"image": image, "pull": "never"}}))
        host = start_llem("run", "s.yaml", cwd=tmp_path, env={"DOCKER_HOST": engine.host})
        study = the_study(tmp_path / "results")
        wait_for_phase(study, 1, "measure")
        host.kill()
        host.communicate()
        tell(study)
        container = container_of(client, study, 1)
        container.wait(timeout=60)
        begun = journal(study)[0]
        assert (begun["engine"], begun["gpu_models"]) == (client.info()["ID"], None)
        mounted = {mount["Destination"]: mount["Source"] for mount in container.attrs["Mounts"]}
        assert mounted["/opt/llem"] == str(study / ".runner" / begun["runner"])
    finally:
        client.images.remove(image, force=True)
    done = docker_llem("run", "--resume", study)
    assert done.returncode == 3, done.stderr
    assert "image_missing" in done.stderr
    assert kinds(study) == ["completed"]
    result = json.loads((run_folder(study) / "result.json").read_text())
    assert result["image"] == {"name": image, "digest": launched(study)["digest"]}
    assert left_of(client, tmp_path) == NOTHING


def test_claim_6_5_a_study_in_no_container_does_not_share_a_gpu_with_a_container_either(
    client: Any, actor: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    launcher = LocalLauncher(gpus=[])
    with of_another_user(client, actor, tmp_path, "GPU-of-this-test") as foreign:
        assert launcher.other_user("GPU-of-this-test", "study") == f"container {foreign.name} of user 4711"
        assert launcher.other_user("GPU-of-nobody", "study") is None
