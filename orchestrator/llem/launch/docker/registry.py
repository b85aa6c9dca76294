"""What a registry says of an image before it is pulled: how much there is to download.

A question beside the engine's own way to the registry: with mirrors and proxies of the engine's, or certificates that
it alone knows, there may be no answer. None is ever the reason for not pulling.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llem.launch.docker.credentials import login_at
from llem.launch.docker.image_names import parts_of, registry_of

_ANSWER_WITHIN_S = 10
_LOOK_EVERY_S = 0.02
_MOST_BYTES = 4 << 20
_ACCEPTED = ", ".join(
    (
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
    )
)
_HUB, _HUB_HOST = "docker.io", "registry-1.docker.io"
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def downloads(images: Sequence[str], architecture: str, stop: Callable[[float], bool]) -> dict[str, int | None]:
    """`download_bytes` of several images, asked at once; of those that do not answer in time, or until `stop`, None."""
    found: dict[str, int | None] = dict.fromkeys(images)

    def ask(image: str) -> None:
        found[image] = download_bytes(image, architecture)

    asking = [threading.Thread(target=ask, args=(image,), name=f"size of {image}", daemon=True) for image in found]
    for thread in asking:
        thread.start()
    end_s = time.monotonic() + 2 * _ANSWER_WITHIN_S
    while any(thread.is_alive() for thread in asking) and time.monotonic() < end_s and not stop(_LOOK_EVERY_S):
        pass
    return dict(found)


def download_bytes(image: str, architecture: str) -> int | None:
    """Bytes of all layers of an image, packed as they are downloaded, for machines like `amd64`; None: not known."""
    import docker
    import requests

    try:
        with requests.Session() as session:
            return _Repository(session, image).layers_bytes(architecture)
    except (
        requests.exceptions.RequestException,
        docker.errors.DockerException,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ):
        # A registry is a stranger: whatever it answers that is no manifest tells us nothing.
        return None


class _Repository:
    """The repository of an image, asked by the protocol of registries (OCI distribution)."""

    def __init__(self, session: Any, image: str) -> None:
        registry = registry_of(image)
        path, tag, digest = parts_of(image.removeprefix(f"{registry}/"))
        host = _HUB_HOST if registry == _HUB else registry
        scheme = "http" if host.rpartition(":")[0] in _LOOPBACK or host in _LOOPBACK else "https"
        self._session = session
        self._credentials = login_at(registry)
        name = path if registry != _HUB or "/" in path else f"library/{path}"
        self._manifests = f"{scheme}://{host}/v2/{name}/manifests/"
        self._wanted = digest or tag or "latest"

    def layers_bytes(self, architecture: str) -> int:
        manifest = self._manifest(self._wanted)
        if "manifests" in manifest:
            [digest, *_] = [
                each["digest"]
                for each in manifest["manifests"]
                if each["platform"]["architecture"] == architecture and each["platform"]["os"] == "linux"
            ]
            manifest = self._manifest(digest)
        return sum(int(layer["size"]) for layer in manifest["layers"])

    def _manifest(self, reference: str) -> dict[str, Any]:
        url = self._manifests + reference
        with self._get(url, auth=self._credentials, headers={"Accept": _ACCEPTED}) as answer:
            if answer.status_code != 401:
                return _json(answer)
            token = f"Bearer {self._token(answer.headers)}"
        with self._get(url, headers={"Accept": _ACCEPTED, "Authorization": token}) as answer:
            return _json(answer)

    def _token(self, headers: Mapping[str, str]) -> str:
        """From where the registry sends its users: Docker Hub and most others have a service for it."""
        asked = dict(re.findall(r'(\w+)="([^"]*)"', headers.get("Www-Authenticate", "")))
        where = asked.pop("realm")
        with self._get(where, params=asked, auth=self._credentials) as answer:
            said = _json(answer)
        return str(said.get("token") or said["access_token"])

    def _get(self, url: str, **asked: Any) -> Any:
        return self._session.get(url, timeout=_ANSWER_WITHIN_S, stream=True, **asked)


def _json(answer: Any) -> dict[str, Any]:
    answer.raise_for_status()
    text = answer.raw.read(_MOST_BYTES + 1, decode_content=True)
    if len(text) > _MOST_BYTES:
        raise ValueError("that is too long for a manifest")
    return dict(json.loads(text))
