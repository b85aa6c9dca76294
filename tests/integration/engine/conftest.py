"""A client of the test engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from docker_engine import Engine


@pytest.fixture(scope="session")
def client(engine: Engine) -> Iterator[Any]:
    """A `docker.DockerClient` of the test engine."""
    client = engine.client(timeout_s=300)
    yield client
    client.close()
