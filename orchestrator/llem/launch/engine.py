"""Does a container engine answer?"""

from __future__ import annotations

_ANSWER_WITHIN_S = 5


def engine_answers() -> bool:
    """Whether the engine that DOCKER_HOST (or the default socket) names answers a ping."""
    import docker
    import requests

    try:
        client = docker.from_env(timeout=_ANSWER_WITHIN_S)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError):
        return False
    finally:
        client.close()
