"""A real registry of images on the loopback interface, and images of a few bytes in it that no engine had to build.

Debian's `docker-registry` comes with the test engine's packages. Engines take `127.0.0.1` without TLS.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from docker_engine.packages import Programs
from llem_process import wait_until

LOGIN = ("llem", "open sesame")
_PASSWORD_HASH = "$2b$04$yWcpa3h4LeuKlLTl6MkBI.Ld4Hm5VNW2GAnQ5DGAlM.OwrVllkegS"
"""By bcrypt, which a registry asks for and Python lacks."""

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class Registry:
    """A registry with its data in `folder`; a `private` one lets nobody in but LOGIN."""

    folder: Path
    programs: Programs
    port: int
    private: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """What the names of its images begin with."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "config.json").write_text(json.dumps(self._config()))
        with (self.folder / "log").open("ab") as log:
            command = [str(self.programs.program("docker-registry")), "serve", str(self.folder / "config.json")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={"OTEL_TRACES_EXPORTER": "none"})
        wait_until("the registry", self._answers)

    def stop(self) -> None:
        """Stop it; what it holds stays."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def put(self, name: str, layers: Sequence[Mapping[str, bytes] | bytes], *, level: int = 1, **config: Any) -> str:
        """Store an image as `REPOSITORY:TAG`; its digest.

        A layer is files by name, or a tar; gzipped at `level`. `config` goes into the image's configuration
        (`architecture="arm64"`).
        """
        repository, _, tag = name.partition(":")
        tars = [layer if isinstance(layer, bytes) else _tar(layer) for layer in layers]
        packed = [gzip.compress(tar, level, mtime=0) for tar in tars]
        settings = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar) for tar in tars]},
            "history": [{"created_by": "test"} for _ in tars],
            **config,
        }
        described = self._put_blob(repository, json.dumps(settings).encode(), _CONFIG)
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": described,
            "layers": [self._put_blob(repository, blob, _LAYER) for blob in packed],
        }
        return self.put_manifest(f"{repository}:{tag}", json.dumps(manifest).encode(), _MANIFEST)

    def put_manifest(self, name: str, manifest: bytes, media_type: str) -> str:
        """Store a manifest as it is under `REPOSITORY:TAG`; its digest."""
        repository, _, tag = name.partition(":")
        self._ask("PUT", f"{repository}/manifests/{tag}", data=manifest, headers={"Content-Type": media_type})
        return _digest(manifest)

    def blob(self, digest: str) -> Path:
        """The file in which it keeps a blob or a manifest: for tests that spoil one."""
        hexadecimal = digest.partition(":")[2]
        blobs = self.folder / "data" / "docker" / "registry" / "v2" / "blobs" / "sha256"
        return blobs / hexadecimal[:2] / hexadecimal / "data"

    def _put_blob(self, repository: str, data: bytes, media_type: str) -> dict[str, Any]:
        digest = _digest(data)
        described = {"mediaType": media_type, "size": len(data), "digest": digest}
        if self._has(repository, digest):
            return described
        where = self._ask("POST", f"{repository}/blobs/uploads/").headers["Location"]
        self._ask("PUT", where, params={"digest": digest}, data=data)
        return described

    def _has(self, repository: str, digest: str) -> bool:
        url = f"http://{self.address}/v2/{repository}/blobs/{digest}"
        return requests.head(url, auth=LOGIN, timeout=60).ok

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        url = path if path.startswith("http") else f"http://{self.address}/v2/{path}"
        answer = requests.request(method, url, auth=LOGIN, timeout=60, **options)
        assert answer.ok, f"{method} {url}: {answer.status_code} {answer.text}"
        return answer

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": False}},
            "storage": {"filesystem": {"rootdirectory": str(self.folder / "data")}},
            "http": {"addr": self.address},
        }
        if self.private:
            passwords = self.folder / "htpasswd"
            passwords.write_text(f"{LOGIN[0]}:{_PASSWORD_HASH}\n")
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(passwords)}}
        return config


@contextmanager
def registry(folder: Path, programs: Programs, *, private: bool = False) -> Iterator[Registry]:
    """A running one, on a free port, within a `with`."""
    made = Registry(folder, programs, free_port(), private)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def forget(client: Any, repository: str) -> None:
    """Take all of a repository from the engine."""
    for image in client.images.list():
        if any(f"/{repository}" in each for each in [*image.tags, *(image.attrs.get("RepoDigests") or [])]):
            client.images.remove(image.id, force=True)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def docker_config(folder: Path, **config: Any) -> dict[str, str]:
    """Write Docker's configuration into `folder`; the variable that makes its clients read it."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return {"DOCKER_CONFIG": str(folder)}


def logged_in(registry: Registry, user: str = LOGIN[0], password: str = LOGIN[1]) -> dict[str, Any]:
    """What `docker login` leaves in Docker's configuration."""
    return {"auths": {registry.address: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}}


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
