"""Pulls without an engine: how far one is, why one failed and whether a second try may help, and room on the disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from llem.cli.pull_progress import PullBars, PullLines
from llem.launch.docker.disk_space import free_bytes, space_lacks
from llem.launch.docker.engine import EngineFacts, EngineImage
from llem.launch.docker.images import check_architecture
from llem.launch.docker.pull_faults import is_final, pull_failed
from llem.launch.docker.pull_layers import PullState
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

NAME = "registry.example.org/team/vllm:1"

# What an engine said while an image of two layers was pulled, one of which it had.
SAID = """
{"status":"Pulling from team/vllm","id":"1"}
{"status":"Already exists","progressDetail":{},"id":"aaaaaaaaaaaa"}
{"status":"Pulling fs layer","progressDetail":{},"id":"bbbbbbbbbbbb"}
{"status":"Downloading","progressDetail":{"current":1000,"total":4000},"progress":"[=>  ]","id":"bbbbbbbbbbbb"}
{"status":"Retrying in 5 seconds","progressDetail":{},"id":"bbbbbbbbbbbb"}
{"status":"Downloading","progressDetail":{"current":3000,"total":4000},"progress":"[==> ]","id":"bbbbbbbbbbbb"}
{"status":"Download complete","progressDetail":{},"id":"bbbbbbbbbbbb"}
{"status":"Extracting","progressDetail":{"current":100,"total":4000},"progress":"[>   ]","id":"bbbbbbbbbbbb"}
{"status":"Pull complete","progressDetail":{},"id":"bbbbbbbbbbbb"}
{"status":"Digest: sha256:00"}
{"status":"Status: Downloaded newer image for registry.example.org/team/vllm:1"}
"""


def states(said: str) -> list[PullState]:
    seen = [PullState(NAME)]
    for line in said.strip().splitlines():
        seen.append(seen[-1].after(json.loads(line)))
    return seen


def test_claim_10_3_progress_is_known_by_layer() -> None:
    seen = states(SAID)
    moved = [(state.layers[1].state, state.layers[1].arrived_bytes, state.done) for state in seen[3:]]
    assert moved == [
        ("waiting", 0, 1),
        ("downloading", 1000, 1),
        ("downloading", 1000, 1),
        ("downloading", 3000, 1),
        ("unpacking", 4000, 1),
        ("unpacking", 4000, 1),
        ("done", 4000, 2),
        ("done", 4000, 2),
        ("done", 4000, 2),
    ]
    assert [layer.id for layer in seen[-1].layers] == ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]
    assert seen[5].trouble == "layer bbbbbbbbbbbb broke off, and goes on soon"


@pytest.mark.parametrize("odd", [{}, {"status": None, "id": 3}, {"id": "a", "status": "Dancing"}, {"stream": "x"}])
def test_words_that_an_engine_has_never_said_before_change_nothing(odd: dict[str, Any]) -> None:
    state = states(SAID)[4]
    assert state.after(odd) == state
    assert PullState(NAME).after({"id": "a", "status": "Downloading", "progressDetail": None}).arrived_bytes == 0


@pytest.mark.parametrize(
    ("said", "kind", "final", "advice"),
    [
        ("manifest for x not found: manifest unknown: manifest unknown", FailureKind.IMAGE_MISSING, True, "the tag?"),
        (
            "pull access denied for x, repository does not exist or may require 'docker login'",
            FailureKind.IMAGE_MISSING,
            True,
            "docker login registry.example.org",
        ),
        ('Head "https://x": unauthorized: authentication required', FailureKind.IMAGE_PULL, True, "docker login"),
        ('Head "http://x": no basic auth credentials', FailureKind.IMAGE_PULL, True, "docker login"),
        ("Credentials store error: StoreError('…')", FailureKind.IMAGE_PULL, True, "credential helper"),
        ("filesystem layer verification failed for digest sha256:1", FailureKind.IMAGE_PULL, True, "damaged"),
        ("manifest verification failed for digest sha256:1", FailureKind.IMAGE_PULL, True, "damaged"),
        (
            "no matching manifest for linux/amd64 in the manifest list entries",
            FailureKind.IMAGE_PULL,
            True,
            "kind of machine",
        ),
        (
            "failed to register layer: Error processing tar file(exit status 1): write /x: no space left on device",
            FailureKind.DISK,
            True,
            "docker system df",
        ),
        ("dial tcp 10.0.0.1:443: connect: connection refused", FailureKind.IMAGE_PULL, False, "proxy"),
        ("the engine ended the connection (not found)", FailureKind.ENGINE_UNREACHABLE, False, "docker info"),
        ("net/http: TLS handshake timeout", FailureKind.IMAGE_PULL, False, "proxy"),
        ("unexpected EOF", FailureKind.IMAGE_PULL, False, "proxy"),
        ("dial tcp: lookup registry.example.org: no such host", FailureKind.IMAGE_PULL, True, "name right"),
        ("dial tcp: lookup registry.example.org: i/o timeout", FailureKind.IMAGE_PULL, False, "proxy"),
        ("received unexpected HTTP status: 503 Service Unavailable", FailureKind.IMAGE_PULL, False, "later"),
        ("toomanyrequests: You have reached your pull rate limit", FailureKind.IMAGE_PULL, False, "log in"),
    ],
)
def test_claim_10_3_only_what_may_end_otherwise_is_tried_again_and_each_failure_says_what_to_do(
    said: str, kind: FailureKind, final: bool, advice: str
) -> None:
    failure = pull_failed(NAME, said)
    assert (failure.kind, is_final(said)) == (kind, final)
    assert failure.message.startswith(f"Image {NAME} cannot be pulled: {said}")
    assert advice in failure.message


def test_claim_10_3_a_disk_without_room_is_told_before_anything_is_pulled(tmp_path: Path) -> None:
    free = free_bytes(str(tmp_path))
    assert free is not None
    assert space_lacks(str(tmp_path), {NAME: 1000, "other:1": 1000}) is None
    lacks = space_lacks(str(tmp_path), {NAME: free, "other:1": None})
    assert lacks is not None
    assert lacks.kind is FailureKind.DISK
    assert f"{tmp_path}, where the engine keeps its images" in lacks.message
    assert f"{NAME} {free * 2.5 / 1e9:.1f} GB, other:1 1.1 GB" in lacks.message


@pytest.mark.parametrize("host", ["unix:///run/docker.sock", "tcp://far:2375"])
def test_claim_10_3_a_disk_that_is_not_of_this_machine_is_not_judged(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    root = tmp_path if host.startswith("tcp") else tmp_path / "of-another-machine"
    assert free_bytes(str(root)) is None
    assert space_lacks(str(root), {NAME: 1 << 60}) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [("amd64", "amd64", True), ("amd64", "arm64", False), ("aarch64", "arm64", True), ("amd64", "", True)],
)
def test_claim_10_4_an_image_for_another_kind_of_machine_is_refused_by_name(ours: str, theirs: str, fits: bool) -> None:
    facts = EngineFacts("Docker 28.3.0", 1 << 34, architecture=ours)
    image = EngineImage(NAME, "sha256:a", "sha256:b", architecture=theirs)
    if fits:
        check_architecture(facts, image)
        return
    with pytest.raises(LaunchFailed) as refused:
        check_architecture(facts, image)
    assert refused.value.kind is FailureKind.IMAGE_UNUSABLE
    assert f"Image {NAME} is made for arm64, and this engine's machine is amd64" in refused.value.message


def lines_of(seen: Sequence[PullState], times_s: Sequence[float]) -> list[str]:
    said: list[str] = []
    now = iter(times_s)
    lines = PullLines(said.append, lambda: next(now))
    for state in seen:
        lines.show(state)
    return said


def test_claim_10_3_on_a_pipe_a_pull_is_a_line_now_and_then() -> None:
    seen = states(SAID)
    ended = PullState(NAME, seen[-1].layers, ended=True, succeeded=True)
    assert lines_of([seen[0], seen[4], seen[6], seen[7], ended], [0, 10, 16, 16, 20, 30]) == [
        f"Pulling {NAME} …",
        f"Pulling {NAME}: layer bbbbbbbbbbbb broke off, and goes on soon",
        f"Pulling {NAME}: 0.0 MB, 1 of 2 layers",
        f"Pulled {NAME}.",
    ]


def test_claim_10_3_on_a_terminal_each_layer_that_moves_has_a_bar_and_none_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bars = PullBars()
    seen = states(SAID)
    for state in seen[:7]:
        bars.show(state)
    drawn = capsys.readouterr().err
    assert "bbbbbbbbbbbb downloading |" in drawn
    assert "3.00kB of 4.00kB" in drawn
    assert "aaaaaaaaaaaa" not in drawn, "what the engine has already needs no bar"
    for state in (*seen[7:], PullState(NAME, ended=True)):
        bars.show(state)
    assert "bbbbbbbbbbbb unpacking" in capsys.readouterr().err
    assert len(tqdm._instances) == 0
