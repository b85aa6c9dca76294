"""The processes of a container, as the engine's machine numbers them."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from docker_engine import Engine as PrivateEngine

from llem.launch.docker.engine import Engine
from llem.launch.docker.faults import ContainerGone


def test_claim_8_8_the_engine_tells_the_ids_of_a_containers_processes(
    engine: PrivateEngine, client: Any, actor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    command = ["-c", "sleep 60 & sleep 60 & wait"]
    with closing(Engine.connect()) as ours:
        sleeping = client.containers.run(actor, command, entrypoint="/bin/sh", detach=True)
        try:
            pids = ours.pids(sleeping.id)
            sleeping.reload()
            assert sleeping.attrs["State"]["Pid"] in pids
            assert len(pids) == 3
        finally:
            sleeping.remove(force=True)
        with pytest.raises(ContainerGone):
            ours.pids(sleeping.id)
