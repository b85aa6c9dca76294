"""What registries say of an image's size: by their protocol with tokens, for this machine; and what else they say."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from llem.launch.docker.registry import download_bytes, downloads

LOGIN = base64.b64encode(b"me:secret").decode()
MANIFEST = {"schemaVersion": 2, "layers": [{"size": 1000}, {"size": 234}]}
OTHER = {"schemaVersion": 2, "layers": [{"size": 9}]}
INDEX = {
    "manifests": [
        {"digest": "sha256:attestation", "platform": {"architecture": "unknown", "os": "unknown"}},
        {"digest": "sha256:arm", "platform": {"architecture": "arm64", "os": "linux"}},
        {"digest": "sha256:amd", "platform": {"architecture": "amd64", "os": "linux"}},
    ]
}


class Shelf(BaseHTTPRequestHandler):
    """A registry with a service for tokens, which wants a login."""

    answers: dict[str, bytes]

    def do_GET(self) -> None:
        address = f"http://{self.headers['Host']}"
        path, _, asked = self.path.partition("?")
        if path == "/token":
            known = (
                self.headers["Authorization"] == f"Basic {LOGIN}" and "scope=repository%3Ateam%2Fvllm%3Apull" in asked
            )
            self.answer(200 if known else 401, json.dumps({"token": "good"}).encode())
        elif self.headers["Authorization"] != "Bearer good":
            scheme = f'Bearer realm="{address}/token",service="shelf",scope="repository:team/vllm:pull"'
            self.answer(401, b"{}", {"WWW-Authenticate": scheme})
        else:
            text = self.answers.get(path.removeprefix("/v2/team/vllm/manifests/"))
            self.answer(404 if text is None else 200, text or b"{}")

    def answer(self, status: int, text: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an image without its tag, in a registry at which docker is logged in."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        address = f"127.0.0.1:{server.server_port}"
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": LOGIN}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        yield f"{address}/team/vllm"
        server.shutdown()
        serving.join()


def written(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def test_claim_10_3_the_size_of_a_download_is_that_of_this_machine_s_layers(shelf: str) -> None:
    Shelf.answers = {"1": written(INDEX), "sha256:amd": written(MANIFEST), "sha256:arm": written(OTHER)}
    assert download_bytes(f"{shelf}:1", "amd64") == 1234
    assert download_bytes(f"{shelf}:1", "arm64") == 9
    assert download_bytes(f"{shelf}@sha256:amd", "amd64") == 1234
    assert download_bytes(f"{shelf}:1", "riscv64") is None
    assert download_bytes(f"{shelf}:2", "amd64") is None


@pytest.mark.parametrize(
    "said",
    [b"", b"[]", b"<html>", b"\xff", {"layers": 3}, {"layers": [{}]}, {"layers": [{"size": "x"}]}, {"manifests": [{}]}],
    ids=str,
)
def test_claim_10_3_whatever_else_a_registry_says_is_no_reason_not_to_pull(shelf: str, said: Any) -> None:
    Shelf.answers = {"1": written(said)}
    assert download_bytes(f"{shelf}:1", "amd64") is None


def test_claim_10_3_an_endless_manifest_is_not_read_to_its_end(shelf: str) -> None:
    Shelf.answers = {"1": written(MANIFEST) + b" " * (5 << 20)}
    assert download_bytes(f"{shelf}:1", "amd64") is None


def test_claim_10_3_several_registries_are_asked_at_once_until_somebody_wants_to_end(shelf: str) -> None:
    Shelf.answers = {"1": written(MANIFEST)}
    images = [f"{shelf}:1", "127.0.0.1:9/nobody:1"]
    pause = threading.Event()
    assert downloads(images, "amd64", pause.wait) == {images[0]: 1234, images[1]: None}
    pause.set()
    assert set(downloads(images, "amd64", pause.wait)) == set(images)
    # Nobody waits for their answers; the registry of this test stays until they have them.
    for thread in threading.enumerate():
        if thread.name.startswith("size of "):
            thread.join()
