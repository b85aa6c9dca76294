"""The request for a run's container: what depends on the engine, the image, the caller and the study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llem.launch.docker.engine import EngineFacts, EngineImage
from llem.launch.docker.request import Caller, ContainerSettings, Gpus, Shown, container_request

FACTS = EngineFacts("Docker 28.3.0", 64 << 30, cdi=True)
IMAGE = EngineImage("llem-pytorch:1", "sha256:abc", "sha256:def")
SHOWN = (
    Shown(Path("/studies/s/.runner/1"), "/opt/llem"),
    Shown(Path("/studies/s/runs/1/in"), "/exchange/in"),
    Shown(Path("/studies/s/runs/1/out"), "/exchange/out", writable=True),
)
ME = Caller(1000, 100)
ROOT = Caller(0, 0)


def request(**changes: Any) -> dict[str, Any]:
    """The request of a run on the CPU, changed."""
    usual: dict[str, Any] = {
        "image": IMAGE, "arguments": ("/exchange",), "shown": SHOWN, "gpus": None, "labels": {},
        "settings": ContainerSettings(), "facts": FACTS, "caller": ME,
    }  # fmt: skip
    return container_request(**{**usual, **changes})


def host(**changes: Any) -> dict[str, Any]:
    limits: dict[str, Any] = request(**changes)["HostConfig"]
    return limits


def variables(**changes: Any) -> dict[str, str]:
    return dict(line.split("=", 1) for line in request(**changes)["Env"])


@pytest.mark.parametrize(
    ("gpus", "asked", "cuda", "nvidia"),
    [
        (None, [], "", "void"),
        (
            Gpus("nvidia", ("GPU-a",)),
            [{"Driver": "nvidia", "Capabilities": [["gpu", "utility", "compute"]], "DeviceIDs": ["GPU-a"]}],
            "GPU-a", "GPU-a",
        ),
        (
            Gpus("nvidia", ("GPU-b", "GPU-a")),
            [{"Driver": "nvidia", "Capabilities": [["gpu", "utility", "compute"]], "DeviceIDs": ["GPU-b", "GPU-a"]}],
            "GPU-b,GPU-a", "GPU-b,GPU-a",
        ),
        (
            Gpus("nvidia", None),
            [{"Driver": "nvidia", "Capabilities": [["gpu", "utility", "compute"]], "Count": -1}],
            None, "all",
        ),
        (Gpus("cdi", ("GPU-a",)), [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-a"]}], "GPU-a", "void"),
        (Gpus("cdi", None), [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}], None, "void"),
    ],
    ids=["none", "one", "two in order", "all", "one by cdi", "all by cdi"],
)  # fmt: skip
def test_claim_6_5_gpus_are_asked_for_by_uuid_through_the_engines_driver(
    gpus: Gpus | None, asked: list[Any], cuda: str | None, nvidia: str
) -> None:
    assert host(gpus=gpus)["DeviceRequests"] == asked
    seen = variables(gpus=gpus)
    assert (seen.get("CUDA_VISIBLE_DEVICES"), seen["NVIDIA_VISIBLE_DEVICES"]) == (cuda, nvidia)


def test_claim_6_5_an_image_that_says_all_gpus_gets_none_unasked() -> None:
    image = replace(IMAGE, environment=("NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=all"))
    seen = variables(image=image)
    assert (seen["NVIDIA_VISIBLE_DEVICES"], seen["NVIDIA_DRIVER_CAPABILITIES"]) == ("void", "compute,utility")


@pytest.mark.parametrize(
    ("of_image", "path"),
    [
        ((), "/opt/llem"),
        (("PYTHONPATH=",), "/opt/llem"),
        (("PYTHONPATH=/opt/llem",), "/opt/llem"),
        (("PYTHONPATH=/opt/extra:/opt/llem::/more",), "/opt/llem:/opt/extra:/more"),
    ],
    ids=["none", "empty", "ours", "its own"],
)
def test_claim_6_6_our_runner_comes_first_and_an_images_own_python_path_is_kept(
    of_image: tuple[str, ...], path: str
) -> None:
    assert variables(image=replace(IMAGE, environment=of_image))["PYTHONPATH"] == path


def test_claim_6_6_what_an_image_declares_of_its_own_start_does_not_count() -> None:
    asked = request()
    assert asked["Entrypoint"] == ["python3", "-m", "llem_runner"]
    assert (asked["Cmd"], asked["WorkingDir"], asked["StopSignal"]) == (["/exchange"], "/home/llem", "SIGTERM")
    assert asked["Healthcheck"] == {"Test": ["NONE"]}


def test_claim_6_7_a_volume_of_the_image_is_hidden_however_it_is_written_and_our_own_places_stay_ours() -> None:
    declared = ("/data", "/exchange/out/", "/tmp/", "/home/llem//", "/opt/../srv/x/", "/opt/llem")
    tmpfs = host(image=replace(IMAGE, volumes=declared))["Tmpfs"]
    assert set(tmpfs) == {"/data", "/srv/x", "/tmp", "/home/llem"}
    assert "mode=0555" in tmpfs["/data"]
    assert "mode=1777" in tmpfs["/tmp"]


@pytest.mark.parametrize(
    ("caller", "rootless", "user"),
    [(ME, False, "1000:100"), (ROOT, False, "65532:65532"), (ME, True, "0:0"), (ROOT, True, "0:0")],
    ids=["caller", "root", "rootless engine", "rootless engine of root"],
)
def test_claim_6_7_the_container_is_the_callers_and_never_roots_but_in_a_rootless_engine(
    caller: Caller, rootless: bool, user: str
) -> None:
    changes = {"caller": caller, "facts": replace(FACTS, rootless=rootless)}
    assert request(**changes)["User"] == user
    uid, gid = user.split(":")
    assert all({f"uid={uid}", f"gid={gid}"} <= set(each.split(",")) for each in host(**changes)["Tmpfs"].values())


def test_claim_6_7_a_rootless_engine_is_asked_to_raise_no_limit_and_all_hardening_stays() -> None:
    rootless, usual = host(facts=replace(FACTS, rootless=True)), host()
    assert (rootless["Ulimits"], len(usual["Ulimits"])) == ([], 2)
    for item in ("CapDrop", "SecurityOpt", "ReadonlyRootfs", "NetworkMode", "Memory", "PidsLimit", "Mounts", "Init"):
        assert rootless[item] == usual[item]


def test_claim_6_7_on_a_host_with_selinux_mounts_are_relabelled_and_as_read_only_as_elsewhere() -> None:
    asked = host(facts=replace(FACTS, selinux=True))
    assert asked["Binds"] == [
        "/studies/s/.runner/1:/opt/llem:ro,z",
        "/studies/s/runs/1/in:/exchange/in:ro,z",
        "/studies/s/runs/1/out:/exchange/out:rw,z",
    ]
    assert "Mounts" not in asked
    assert {mount["Target"]: mount["ReadOnly"] for mount in host()["Mounts"]} == {
        "/opt/llem": True, "/exchange/in": True, "/exchange/out": False,
    }  # fmt: skip


def test_claim_6_7_podman_is_asked_for_tmpfs_in_options_that_it_knows() -> None:
    image = replace(IMAGE, volumes=("/data",))
    tmpfs = host(image=image, facts=replace(FACTS, podman=True))["Tmpfs"]
    known = {"rw", "exec", "noexec", "nosuid", "nodev", "size", "mode", "notmpcopyup"}
    assert {option.partition("=")[0] for options in tmpfs.values() for option in options.split(",")} <= known
    assert all("notmpcopyup" in options for options in tmpfs.values())
    assert "notmpcopyup" not in str(host(image=image)["Tmpfs"])


def test_claim_6_7_podman_keeps_its_own_log_driver() -> None:
    assert host()["LogConfig"] == {"Type": "local", "Config": {"max-size": "8m", "max-file": "2"}}
    assert "LogConfig" not in host(facts=replace(FACTS, podman=True))


@pytest.mark.parametrize(
    ("settings", "total_bytes", "memory_bytes"),
    [
        (ContainerSettings(), 64 << 30, 60 << 30),
        (ContainerSettings(), 6 << 30, 3 << 30),
        (ContainerSettings(memory_bytes=1 << 30), 64 << 30, 1 << 30),
    ],
    ids=["the host's less 4 GiB", "at least half", "as the study says"],
)
def test_claim_6_7_memory_is_bounded_and_there_is_no_swap(
    settings: ContainerSettings, total_bytes: int, memory_bytes: int
) -> None:
    asked = host(settings=settings, facts=replace(FACTS, memory_bytes=total_bytes))
    assert (asked["Memory"], asked["MemorySwap"]) == (memory_bytes, memory_bytes)


def test_claim_6_7_nothing_of_the_callers_environment_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = request()
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "http_proxy", "LD_PRELOAD", "PYTHONPATH"):
        monkeypatch.setenv(name, "secret")
    assert request() == before
