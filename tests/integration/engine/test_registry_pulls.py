"""Pulls by the real engine from a real registry on the loopback interface, on its bad days."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cutting_proxy import CuttingProxy
from docker_engine import Engine as PrivateEngine
from engine_proxy import EngineProxy
from llem_process import Hosts, llem
from other_engine import another_daemon
from puller import Puller
from registry import LOGIN, Registry, docker_config, logged_in, registry

from llem.launch.docker.engine import Engine
from llem.launch.docker.pull import WantedImage
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind


@pytest.fixture(scope="module")
def private(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that lets LOGIN in."""
    with registry(tmp_path_factory.mktemp("private") / "data", engine.programs, private=True) as made:
        yield made


def test_claim_10_3_several_images_are_pulled_at_once_with_progress_by_layer(
    puller: Puller, public: Registry, repository: str
) -> None:
    layers = [{"big": secrets.token_bytes(2_000_000)}, {"small": b"x"}]
    digests = [public.put(f"{repository}{number}:1", [*layers, {"number": b"%d" % number}]) for number in (1, 2)]
    names = [f"{public.address}/{repository}{number}:1" for number in (1, 2)]
    puller(*(WantedImage(name) for name in names))
    assert [puller.found(name) for name in names] == digests
    first_end = next(index for index, state in enumerate(puller.states) if state.ended)
    assert {state.image for state in puller.states[:first_end]} == set(names)
    for name in names:
        last = [state for state in puller.states if state.image == name][-1]
        assert (last.ended, last.succeeded, len(last.layers), last.done) == (True, True, 3, 3)
        assert last.download_bytes is not None
        assert 2_000_000 < last.download_bytes < 2_100_000


def test_claim_10_4_a_missing_tag_and_whatever_else_cannot_be_had_are_told_together(
    puller: Puller, public: Registry, repository: str
) -> None:
    public.put(f"{repository}:1", [{"a": b"a"}])
    names = [f"{public.address}/{repository}:{tag}" for tag in (1, 2)]
    never, misspelt = "llem-test-nobody-has-this:1", "Llem::Test"
    failures = puller.failures(*map(WantedImage, names), WantedImage(never, "never"), WantedImage(misspelt))
    assert set(failures) == {names[1], never, misspelt}
    assert {failure.kind for failure in failures.values()} == {FailureKind.IMAGE_MISSING}
    assert "manifest unknown" in failures[names[1]].message
    assert "Is the name right, and the tag?" in failures[names[1]].message
    assert "pull: never" in failures[never].message
    assert "invalid reference format" in failures[misspelt].message
    assert puller.troubles == [], "what cannot succeed is not tried again"


def test_claim_10_4_a_refused_login_says_where_to_log_in_and_docker_s_own_logins_are_used(
    puller: Puller, private: Registry, repository: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digest = private.put(f"{repository}:1", [{"a": b"a"}])
    name = f"{private.address}/{repository}:1"
    for config in ({}, logged_in(private, password="a guess")):
        monkeypatch.setenv("DOCKER_CONFIG", docker_config(tmp_path / "docker", **config)["DOCKER_CONFIG"])
        [failure] = puller.failures(WantedImage(name)).values()
        assert failure.kind is FailureKind.IMAGE_PULL
        assert f"Log in with `docker login {private.address}`" in failure.message
        assert "a guess" not in failure.message
    assert puller.troubles == []
    docker_config(tmp_path / "docker", **logged_in(private))
    puller(WantedImage(name))
    assert puller.found(name) == digest
    assert puller.states[-1].download_bytes is not None, "the question for the size uses that login, too"


HELPER = """#!/bin/sh
test "$1" = get && test "$(cat)" = "{address}" || exit 1
echo '{answer}'
"""


@pytest.mark.parametrize("works", [True, False], ids=["a helper on PATH", "a helper that is not there"])
def test_claim_10_3_credentials_come_from_docker_s_credential_helpers(
    engine: PrivateEngine, client: Any, private: Registry, repository: str, tmp_path: Path, works: bool
) -> None:
    digest = private.put(f"{repository}:1", [{"a": b"a"}])
    name = f"{private.address}/{repository}:1"
    config = docker_config(tmp_path / "docker", credHelpers={private.address: "llem-test"})
    if works:
        helper = tmp_path / "docker-credential-llem-test"
        answer = json.dumps({"ServerURL": private.address, "Username": LOGIN[0], "Secret": LOGIN[1]})
        helper.write_text(HELPER.format(address=private.address, answer=answer))
        helper.chmod(0o755)
    env = {"DOCKER_HOST": engine.host, "PATH": f"{tmp_path}:{os.environ['PATH']}", **config}
    done = llem("images", "pull", name, cwd=tmp_path, env=env)
    if works:
        assert (done.returncode, done.stdout.split()[:2]) == (0, [name, digest]), done.stderr
        assert client.images.get(name).attrs["RepoDigests"] == [f"{private.address}/{repository}@{digest}"]
    else:
        assert done.returncode == 3
        assert f"Error: image_pull: Image {name} cannot be pulled: Credentials store error" in done.stderr
        assert "docker-credential-" in done.stderr
    assert LOGIN[1] not in done.stdout + done.stderr
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr


def test_claim_10_4_a_corrupt_manifest_and_a_corrupt_layer_are_told_and_not_tried_again(
    puller: Puller, public: Registry, repository: str
) -> None:
    whole = public.put(f"{repository}:manifest", [{"a": secrets.token_bytes(5)}])
    spoiled = public.blob(whole)
    spoiled.write_bytes(spoiled.read_bytes() + b"\n")
    layered = public.put(f"{repository}:layer", [{"a": secrets.token_bytes(5000)}])
    layer = public.blob(json.loads(public.blob(layered).read_text())["layers"][0]["digest"])
    content = bytearray(layer.read_bytes())
    content[3000] ^= 0xFF
    layer.write_bytes(content)
    by_digest = f"{public.address}/{repository}@{whole}"
    by_tag = f"{public.address}/{repository}:layer"
    failures = puller.failures(WantedImage(by_digest), WantedImage(by_tag))
    assert {name: failure.kind for name, failure in failures.items()} == {
        by_digest: FailureKind.IMAGE_PULL,
        by_tag: FailureKind.IMAGE_PULL,
    }
    assert "verification failed" in failures[by_digest].message
    assert "verification failed" in failures[by_tag].message
    assert all("push the image there anew" in failure.message for failure in failures.values())
    assert puller.troubles == []


def test_claim_10_4_a_pull_that_is_cut_off_in_the_middle_goes_on_where_it_was(
    puller: Puller, public: Registry, repository: str
) -> None:
    size = 6_000_000
    digest = public.put(f"{repository}:1", [{"big": secrets.token_bytes(size)}])
    # Cut are our question for the size, the engine's two first ones (by TLS and without: it gives the pull up), and at
    # two thirds the layer.
    with CuttingProxy(public.port, cuts=[50, 50, 50, 4_000_000]).serving() as proxy:
        name = f"{proxy.address}/{repository}:1"
        puller(WantedImage(name))
        assert proxy.cuts == []
    assert "1 of 3 tries" in puller.troubles[0]
    assert "broke off, and goes on soon" in puller.troubles[-1]
    assert puller.found(name) == digest
    assert proxy.sent_bytes < 1.2 * size


def test_claim_10_4_a_registry_that_is_down_is_waited_for_and_not_for_ever(
    puller: Puller, public: Registry, repository: str
) -> None:
    digest = public.put(f"{repository}:1", [{"a": b"a"}])
    wanted = WantedImage(f"{public.address}/{repository}:1")
    public.stop()
    try:
        [failure] = puller.failures(wanted).values()
        assert failure.kind is FailureKind.IMAGE_PULL
        assert "connection refused" in failure.message
        assert f"Can the engine's machine reach {public.address}" in failure.message
        assert [trouble[-14:] for trouble in puller.troubles] == ["(1 of 3 tries)", "(2 of 3 tries)"]
    finally:
        public.start()
    puller(wanted)
    assert puller.found(wanted.name) == digest


def test_claim_10_4_an_engine_that_goes_away_while_it_pulls_is_asked_again(
    engine: PrivateEngine, public: Registry, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = public.put(f"{repository}:1", [{"a": secrets.token_bytes(5)}])
    with EngineProxy(engine.daemon.socket, tmp_path / "engine.sock").serving() as proxy:
        monkeypatch.setenv("DOCKER_HOST", proxy.host)
        puller = Puller(Engine.connect())
        proxy.lose("connection", "POST .*/images/create")
        puller(WantedImage(f"{public.address}/{repository}:1"))
        assert proxy.lost_all
        assert puller.found(f"{public.address}/{repository}:1") == digest
        puller.engine.close()
    [trouble] = puller.troubles
    assert trouble.startswith("the engine ended the connection")
    assert "1 of 3 tries" in trouble


def test_claim_10_4_a_disk_that_is_too_small_is_told_beforehand_and_one_that_fills_up_when_it_does(
    engine: PrivateEngine, public: Registry, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random bytes are as long as they look; of zeros nobody sees beforehand how much they unpack to.
    public.put(f"{repository}:big", [{"big": secrets.token_bytes(30_000_000)}], level=0)
    public.put(f"{repository}:zeros", [{"zeros": bytes(100_000_000)}])
    big, zeros = (WantedImage(f"{public.address}/{repository}:{tag}") for tag in ("big", "zeros"))
    with another_daemon(engine, data_size="64m") as daemon:
        monkeypatch.setenv("DOCKER_HOST", daemon.host)
        puller = Puller(Engine.connect())
        with pytest.raises(LaunchFailed) as lacks:
            puller(big)
        assert lacks.value.kind is FailureKind.DISK
        assert f"{daemon.folder}/data, where the engine keeps its images, has 0.1 GB free" in lacks.value.message
        assert not any(state.layers for state in puller.states), "nothing was pulled"
        [failure] = puller.failures(zeros).values()
        puller.engine.close()
    assert failure.kind is FailureKind.DISK
    assert "no space left on device" in failure.message
    assert "Make room where the engine keeps its data" in failure.message
    assert puller.troubles == []


@pytest.mark.parametrize("stall_after_bytes", [0, 300_000], ids=["before it begins", "within a layer"])
def test_claim_10_3_ctrl_c_ends_a_pull_at_once(
    engine: PrivateEngine,
    public: Registry,
    repository: str,
    tmp_path: Path,
    start_llem: Hosts,
    stall_after_bytes: int,
) -> None:
    public.put(f"{repository}:1", [{"big": secrets.token_bytes(500_000)}])
    with CuttingProxy(public.port, stall_after_bytes=stall_after_bytes).serving() as proxy:
        env = {"DOCKER_HOST": engine.host, **docker_config(tmp_path / "docker")}
        host = start_llem("images", "pull", f"{proxy.address}/{repository}:1", cwd=tmp_path, env=env)
        assert proxy.stalled.wait(60)
        os.kill(host.pid, signal.SIGINT)
        # Sooner than any time-out of ours, the engine's or the registry's.
        said, _ = host.communicate(timeout=8)
    assert host.returncode == 130, said
    assert "Interrupted" in said
    assert "Traceback" not in said
