"""Does a container engine answer?"""

from __future__ import annotations

import os
from pathlib import Path

_DEFAULT_HOST = "unix:///var/run/docker.sock"
_ANSWER_WITHIN_S = 5


def engine_answers() -> bool:
    """Whether the engine that DOCKER_HOST (or the default socket) names answers a ping."""
    scheme, _, path = (os.environ.get("DOCKER_HOST") or _DEFAULT_HOST).partition("://")
    # The usual case of no engine: nothing is imported, and no connection is begun, to learn of it.
    if scheme == "unix" and not Path(path).exists():
        return False
    import docker
    import requests

    try:
        client = docker.from_env(timeout=_ANSWER_WITHIN_S)
    except (docker.errors.DockerException, ValueError):
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError):
        return False
    finally:
        client.close()
