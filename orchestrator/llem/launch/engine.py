"""Does a container engine answer?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_DEFAULT_SOCKET = "/var/run/docker.sock"
_ANSWER_WITHIN_S = 5


def engine_answers() -> bool:
    """Whether an engine answers a ping: that of DOCKER_HOST, else of docker's current context, else the default one."""
    # The usual case of no engine: nothing is imported, and no connection is begun, to learn of it.
    if not _could_answer(os.environ):
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


def _could_answer(environment: Mapping[str, str]) -> bool:
    if host := environment.get("DOCKER_HOST"):
        scheme, _, path = host.partition("://")
        return scheme != "unix" or Path(path).exists()
    config = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    return "DOCKER_CONTEXT" in environment or config.is_file() or Path(_DEFAULT_SOCKET).exists()
