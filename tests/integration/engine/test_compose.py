"""`compose/`: the orchestrator in a container that drives the engine it runs on, and a registry of images."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet
import pytest
from docker_engine import BASE_IMAGE, REPOSITORY, Engine, SimulatedGpus
from engine_compose import FOLDER, Compose
from engine_containers import ran, read_only
from llem_process import ENDLESS, TINY, events_of, the_study, wait_for_phase, wait_until
from locks import asked_for, pins

from llem.version import __version__

ORCHESTRATOR_IMAGE = "llem-orchestrator"
REGISTRY_IMAGE = "llem-test-registry"
IN_CONTAINERS = "runners: {pytorch: docker}\n"
# A tar archive without a member.
EMPTY_IMAGE = b"\0" * 10240
# Somebody who is not root, and whom no passwd file knows.
CALLER = 12345


@pytest.fixture
def compose(engine: Engine, client: Any, tmp_path: Path) -> Iterator[Compose]:
    """docker-compose for one user, whose home is empty."""
    compose = Compose(engine, tmp_path)
    yield compose
    compose.close(client)


@pytest.fixture(scope="module")
def orchestrator(engine: Engine, client: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The orchestrator's image, as `docker-compose build` makes it."""
    built = Compose(engine, tmp_path_factory.mktemp("home"))("orchestrator.yaml", "build")
    assert built.returncode == 0, built.stdout + built.stderr
    assert f"{ORCHESTRATOR_IMAGE}:latest" in client.images.get(ORCHESTRATOR_IMAGE).tags
    return ORCHESTRATOR_IMAGE


@pytest.fixture(scope="module")
def registry_image(engine: Engine, client: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Debian's build of the registry, and busybox for its health, as `registry:2` has them."""
    folder = tmp_path_factory.mktemp("registry")
    for name in ("docker-registry", "busybox"):
        shutil.copy(engine.programs.program(name), folder)
    lines = [f"FROM {BASE_IMAGE}", "COPY docker-registry busybox /usr/bin/", 'ENTRYPOINT ["docker-registry"]']
    (folder / "Dockerfile").write_text("\n".join(lines))
    client.images.build(path=str(folder), tag=REGISTRY_IMAGE, network_mode="none", rm=True)
    return REGISTRY_IMAGE


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def callers_folder() -> Iterator[Path]:
    """A folder that is CALLER's; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(prefix="llem-compose-", dir="/tmp") as folder:
        for path in (
            Path(folder),
            *(Path(folder) / name for name in ("cache", "cache/llem", "config", "config/llem", "hf")),
        ):
            path.mkdir(exist_ok=True)
            shutil.chown(path, CALLER, CALLER)
        yield Path(folder)


def as_caller(engine: Engine, folder: Path) -> dict[str, str]:
    """The variables with which CALLER works in `folder`: what `compose/run` finds out by itself."""
    return {
        "LLEM_FOLDER": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "HF_HOME": str(folder / "hf"),
        "LLEM_DOCKER_SOCKET": str(engine.daemon.socket),
        "LLEM_DOCKER_GID": str(engine.daemon.socket.stat().st_gid),
        "LLEM_UID": str(CALLER),
        "LLEM_GID": str(CALLER),
    }


@pytest.mark.parametrize("file", ["orchestrator.yaml", "registry.yaml"])
def test_claim_6_14_compose_finds_nothing_to_say_about_its_files(compose: Compose, tmp_path: Path, file: str) -> None:
    for folder in (REPOSITORY, tmp_path):
        done = compose(file, "config", cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert f"source: {FOLDER if file == 'registry.yaml' else REPOSITORY}" in done.stdout


def test_claim_6_14_the_orchestrators_image_has_the_host_sides_packages_and_no_engine() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = asked_for(project["dependencies"])
    host, image = pins(REPOSITORY / "requirements.lock"), pins(REPOSITORY / "compose" / "requirements.lock")
    assert needed <= image.keys()
    assert image == {name: host[name] for name in image}
    assert not {"torch", "transformers"} & image.keys()


def test_claim_6_14_compose_run_is_llem_of_this_checkout_for_whoever_calls_it(
    compose: Compose, orchestrator: str, engine: Engine, tmp_path: Path, callers_folder: Path
) -> None:
    version = compose.of_a_shell(FOLDER / "run", "orchestrator", "llem", "--version", cwd=tmp_path)
    assert (version.returncode, version.stdout) == (0, f"llem, version {__version__}\n"), version.stderr
    assert all((tmp_path / ".cache" / name).is_dir() for name in ("llem", "huggingface"))
    program = "import docker, os, llem; print(os.getuid(), os.getcwd(), llem.__file__, docker.from_env().ping())"
    command = ("run", "--rm", "-T", "orchestrator", "python3", "-c", program)
    said = compose("orchestrator.yaml", *command, cwd=callers_folder, env=as_caller(engine, callers_folder))
    code = "/opt/checkout/orchestrator/llem/__init__.py"
    assert said.stdout.split() == [str(CALLER), str(callers_folder), code, "True"], said.stderr


def test_claim_6_14_the_orchestrator_writes_to_its_folder_and_its_caches_and_nowhere_else_of_the_host(
    compose: Compose, orchestrator: str, engine: Engine, callers_folder: Path
) -> None:
    folder, variables = callers_folder, as_caller(engine, callers_folder)
    places = [
        folder,
        folder / "hf",
        folder / "cache/llem",
        folder / "config/llem",
        "/opt/checkout",
        "/opt/orchestrator",
        "/",
    ]
    writable = ["yes"] * 3
    script = (
        'for place; do if touch "$place/written"; then echo yes; else echo no; fi; done; grep CapEff /proc/self/status'
    )
    command = ("run", "--rm", "-T", "orchestrator", "sh", "-c", script, "sh", *places)
    as_them = compose("orchestrator.yaml", *command, cwd=folder, env=variables)
    assert as_them.stdout.split() == [*writable, "no", "no", "no", "no", "CapEff:", "0" * 16], as_them.stderr
    as_root = compose("orchestrator.yaml", *command, cwd=folder, env={**variables, "LLEM_UID": "0", "LLEM_GID": "0"})
    # CHOWN, DAC_OVERRIDE and FOWNER.
    assert as_root.stdout.split() == [*writable, "no", "no", "no", "no", "CapEff:", "000000000000000b"]


def test_claim_6_14_an_image_of_other_packages_than_the_checkout_pins_is_refused(
    client: Any, orchestrator: str, tmp_path: Path
) -> None:
    (tmp_path / "compose").mkdir()
    lock = tmp_path / "compose" / "requirements.lock"
    lock.write_text((FOLDER / "requirements.lock").read_text() + "another==1.0\n")
    lock.chmod(0o644)
    tmp_path.chmod(0o755)
    ended = ran(client, orchestrator, ["llem", "--version"], volumes=read_only((tmp_path, "/opt/checkout")))
    assert ended.exit_code == 3
    assert "compose/orchestrator.yaml build" in ended.output


def test_claim_6_14_the_registry_keeps_what_is_pushed_and_only_this_machine_reaches_it(
    compose: Compose, registry_image: str, client: Any
) -> None:
    port = free_port()
    name = f"localhost:{port}/tiny"
    variables = {"LLEM_REGISTRY_IMAGE": registry_image, "LLEM_REGISTRY_PORT": port}

    def up() -> Any:
        done = compose("registry.yaml", "up", "--detach", env=variables)
        assert done.returncode == 0, done.stderr
        wait_until("the registry", lambda: answers(int(port)))
        [container] = client.containers.list(filters={"label": f"com.docker.compose.project={compose.project}"})
        return container

    def health(container: Any) -> str:
        return str(client.api.inspect_container(container.id)["State"]["Health"]["Status"])

    container = up()
    wait_until("a healthy registry", lambda: health(container) == "healthy")
    listening = {each.laddr.ip for each in psutil.net_connections("tcp") if each.laddr.port == int(port)}
    assert listening == {"127.0.0.1"}
    host = client.api.inspect_container(container.id)["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"]) == (True, ["ALL"], None)
    client.api.import_image_from_data(EMPTY_IMAGE, repository=name, tag="1")
    try:
        pushed = [json.loads(line) for line in client.images.push(name, "1").splitlines()]
        [digest] = [line["aux"]["Digest"] for line in pushed if "aux" in line]
        client.images.remove(f"{name}:1")
        assert compose("registry.yaml", "down", env=variables).returncode == 0
        up()
        assert client.images.pull(f"{name}@{digest}").attrs["RepoDigests"] == [f"{name}@{digest}"]
    finally:
        for image in client.images.list(name):
            client.images.remove(image.id, force=True)


def fields(value: Any) -> Any:
    """The names in a JSON value. How long its lists are is a matter of time: so many passes fit into a window."""
    return {name: fields(each) for name, each in value.items()} if isinstance(value, dict) else ()


def layout(study: Path) -> dict[str, Any]:
    """Every file of a study folder, with the fields of those that have any."""
    found: dict[str, Any] = {}
    for path in sorted(study.rglob("*")):
        name = str(path.relative_to(study))
        if path.suffix == ".json":
            found[name] = fields(json.loads(path.read_text()))
        else:
            found[name] = pyarrow.parquet.read_schema(path) if path.suffix == ".parquet" else None
    return found


def test_claim_6_14_make_study_inside_gives_the_same_result_as_outside(
    compose: Compose, orchestrator: str, engine: Engine, engine_gpus: SimulatedGpus, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(TINY + IN_CONTAINERS)
    study = ("study", f"STUDY={tmp_path}/study.yaml")
    outside = subprocess.run(
        ["make", "-o", f"{sys.prefix}/.installed", f"VENV={sys.prefix}", *study, f"ARGS=-o {tmp_path}/outside"],
        cwd=REPOSITORY,
        env={**os.environ, "DOCKER_HOST": engine.host},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert outside.returncode == 0, outside.stderr
    # From the checkout, where the Makefile is; the study lies elsewhere.
    mounted = ("-v", f"{tmp_path}:{tmp_path}")
    inside = compose.of_a_shell(FOLDER / "run", *mounted, "orchestrator", "make", *study, f"ARGS=-o {tmp_path}/inside")
    assert inside.returncode == 0, inside.stderr
    for said in (outside, inside):
        assert "Runs are containers of llem-pytorch" in said.stderr
        assert "1 of 1 runs completed" in said.stdout
    studies = [the_study(tmp_path / where) for where in ("inside", "outside")]
    assert layout(studies[0]) == layout(studies[1])
    assert (studies[0] / "plan.jsonl").read_text() == (studies[1] / "plan.jsonl").read_text()


def test_claim_6_14_ctrl_c_ends_the_run_in_order_and_what_is_written_is_the_callers(
    compose: Compose, orchestrator: str, engine: Engine, engine_gpus: SimulatedGpus, client: Any, callers_folder: Path
) -> None:
    (callers_folder / "study.yaml").write_text(ENDLESS + IN_CONTAINERS)
    command = ("docker-compose", "-f", FOLDER / "orchestrator.yaml", "run", "--rm", "-T", "orchestrator")
    host = compose.started(
        *command, "llem", "run", "study.yaml", cwd=callers_folder, env=as_caller(engine, callers_folder)
    )
    with host:
        study = the_study(callers_folder / "results")
        wait_for_phase(study, 1, "idle")
        os.killpg(host.pid, signal.SIGINT)
        _, said = host.communicate(timeout=120)
    assert events_of(study)[-2:] == ["run_interrupted", "study_interrupted"], said
    assert {path.lstat().st_uid for path in study.rglob("*")} == {CALLER}
    assert client.containers.list(all=True, filters={"label": f"org.llem.folder={study}"}) == []
