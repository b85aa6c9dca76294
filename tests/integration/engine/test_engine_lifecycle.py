"""The test engine comes up, goes away, and neither leaves anything behind nor touches anybody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
from docker_engine import BASE_IMAGE, PYTORCH_IMAGE, REPOSITORY, Daemon, Engine
from engine_commands import docker_engine, kill_daemon, overrides_in_force
from engine_containers import gpus, ran, read_only
from llem_process import wait_until
from other_engine import another_daemon

# A tar archive without a member.
EMPTY_IMAGE = b"\0" * 10240
# Nothing of the image is needed: the machine's own programs are shown to the container.
OF_THE_MACHINE = read_only(
    *((folder, folder) for folder in ("/bin", "/lib", "/lib64", "/usr") if Path(folder).exists())
)
SYSTEM_PATHS = (
    "/etc/docker",
    "/run/containerd",
    "/run/docker",
    "/run/docker.sock",
    "/var/lib/containerd",
    "/var/lib/docker",
)


@contextmanager
def client_of(daemon: Daemon) -> Iterator[Any]:
    client = docker.DockerClient(base_url=daemon.host, timeout=60)
    try:
        client.api.import_image_from_data(EMPTY_IMAGE, repository="empty", tag="1")
        yield client
    finally:
        client.close()


def sleeper(client: Any, **options: Any) -> Any:
    """A container that runs until it is stopped."""
    container = client.containers.create(
        "empty:1", ["/usr/bin/sleep", "3600"], network_mode="none", init=True, volumes=OF_THE_MACHINE, **options
    )
    container.start()
    return container


def namespace_of(process: psutil.Process) -> str:
    """The process namespace that the children of an engine's first process live in."""
    return str(Path(f"/proc/{process.pid}/ns/pid_for_children").readlink())


def processes_in(namespace: str) -> list[int]:
    """Everything alive in a process namespace or in one below it, as far as its first process is in that list."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = str(Path(f"/proc/{process.pid}/ns/pid").readlink()) == namespace
            if inside and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (OSError, psutil.NoSuchProcess):
            continue
    return found


def left_by(daemon: Daemon) -> dict[str, Any]:
    """What there is of one engine on the machine, outside its folder."""
    return {
        "mounts": [
            line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(daemon.folder) in line
        ],
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{daemon.cgroup}")],
        "commands": [
            process.pid
            for process in psutil.process_iter(["cmdline", "status"])
            if any(str(daemon.folder) in word for word in process.info["cmdline"] or [])
        ],
        "socket": daemon.socket.exists(),
    }


NOTHING = {"mounts": [], "cgroups": [], "commands": [], "socket": False}


def network_of(engine: Engine) -> tuple[list[str], str]:
    """The machine's interfaces, and its firewall's rules (or why there can be none)."""
    environment = {"PATH": engine.programs.path(), "LD_LIBRARY_PATH": engine.programs.libraries()}
    said = ""
    for program in ("iptables-legacy-save", "iptables-nft-save"):
        done = subprocess.run([program], env=environment, capture_output=True, text=True)
        said += "".join(line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("#"))
    return sorted(path.name for path in Path("/sys/class/net").iterdir()), said


def system_paths() -> dict[str, list[str] | None]:
    """What other engines use: that it is there, and what lies in it."""
    return {name: sorted(map(str, Path(name).rglob("*"))) if Path(name).exists() else None for name in SYSTEM_PATHS}


def test_claim_6_1_the_engine_has_the_base_image_and_the_pytorch_image_of_this_version(client: Any) -> None:
    for image in (BASE_IMAGE, PYTORCH_IMAGE):
        assert image in client.images.get(image).tags
    from llem.version import __version__

    assert f"llem-pytorch:{__version__}" == PYTORCH_IMAGE
    assert ran(client, BASE_IMAGE, ["python3", "--version"]).exit_code == 0


def test_claim_6_1_engine_up_on_a_running_engine_builds_and_restarts_nothing(engine: Engine, client: Any) -> None:
    process, images = engine.daemon.process(), {image.id for image in client.images.list()}
    done = docker_engine("up", env=overrides_in_force(engine))
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert engine.daemon.process() == process
    assert {image.id for image in client.images.list()} == images


def test_claim_6_1_make_engine_host_prints_the_url_and_nothing_else(engine: Engine) -> None:
    installed = f"{sys.prefix}/.installed-dev"
    command = ["make", "-s", "-o", installed, f"VENV={sys.prefix}", "engine-host"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{engine.host}\n"), done.stderr
    found = docker.DockerClient(base_url=done.stdout.strip())
    try:
        assert found.ping()
    finally:
        found.close()


def test_claim_6_1_an_engine_that_tests_are_using_is_not_taken_down(engine: Engine) -> None:
    done = docker_engine("down")
    assert done.returncode == 1
    assert "somebody's tests are using it" in done.stderr
    assert engine.daemon.answers()


def test_claim_6_1_an_engine_that_nobody_has_wanted_for_long_gives_its_disk_back(engine: Engine) -> None:
    old, recent = (engine.folder.with_name(f"test-{name}") for name in ("old", "recent"))
    try:
        for folder in (old, recent):
            folder.mkdir()
            (folder / ".lock").touch()
        os.utime(old / ".lock", (0, 0))
        assert docker_engine("up", env=overrides_in_force(engine)).returncode == 0
        assert (old.exists(), recent.exists()) == (False, True)
    finally:
        for folder in (old, recent):
            shutil.rmtree(folder, ignore_errors=True)


def by_stopping(daemon: Daemon) -> None:
    daemon.stop()


def by_killing(daemon: Daemon) -> None:
    """SIGKILL of the first process: the kernel ends the rest, and the next stop clears what is left."""
    kill_daemon(daemon)
    daemon.stop()


@pytest.mark.parametrize("end", [by_stopping, by_killing])
def test_claim_6_1_nothing_of_an_engine_stays_behind_whatever_ends_it(
    engine: Engine, end: Callable[[Daemon], None]
) -> None:
    network, paths = network_of(engine), system_paths()
    with another_daemon(engine) as daemon:
        with client_of(daemon) as client:
            container = sleeper(client)
            assert container.attrs is not None
        process = daemon.process()
        assert process is not None
        namespace = namespace_of(process)
        assert len(processes_in(namespace)) >= 3
        assert network_of(engine) == network
        end(daemon)
        assert processes_in(namespace) == []
        assert left_by(daemon) == NOTHING
    assert (network_of(engine), system_paths()) == (network, paths)


def test_claim_6_1_an_engine_that_was_killed_starts_again_with_its_images(engine: Engine) -> None:
    with another_daemon(engine) as daemon:
        with client_of(daemon) as client:
            sleeper(client, name="left-running")
        process = daemon.process()
        assert process is not None
        process.kill()
        wait_until("the end of the engine", lambda: daemon.process() is None)
        daemon.start()
        with client_of(daemon) as client:
            assert client.containers.get("left-running").status == "exited"
            assert sleeper(client).id


def test_claim_6_1_an_engine_that_comes_and_goes_never_touches_another(engine: Engine) -> None:
    with ExitStack() as others:
        first = others.enter_context(another_daemon(engine))
        client = others.enter_context(client_of(first))
        container = sleeper(client)
        container.reload()
        before = container.attrs["State"]
        with another_daemon(engine) as second, client_of(second) as its_client:
            sleeper(its_client)
            assert [each.id for each in client.containers.list(all=True)] == [container.id]
        container.reload()
        assert container.attrs["State"] == before
        assert before["Running"] is True
    assert engine.daemon.answers()


def test_claim_6_2_an_engine_without_the_hook_refuses_requests_for_gpus(engine: Engine) -> None:
    with (
        another_daemon(engine) as daemon,
        client_of(daemon) as client,
        pytest.raises(docker.errors.APIError, match='could not select device driver "nvidia"'),
    ):
        sleeper(client, device_requests=gpus("GPU-51300000-0000-4000-8000-000000000000"))
