"""Pulls as llem does them, on the engine that DOCKER_HOST names; what was said meanwhile is kept."""

from __future__ import annotations

import time

import pytest

from llem.launch.docker.engine import Engine
from llem.launch.docker.images import find_image
from llem.launch.docker.pull import PullsFailed, WantedImage, pull_missing
from llem.launch.docker.pull_layers import PullState
from llem.launch.docker.pull_one import Retries
from llem.launch.protocol import LaunchFailed

BRISK = Retries(attempts=3, first_wait_s=0.1, longest_wait_s=0.2)


class Puller:
    """`pull_missing` on the test engine; what it was told meanwhile is kept."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.states: list[PullState] = []
        self.notices: list[str] = []

    def __call__(self, *wanted: WantedImage, retries: Retries = BRISK) -> None:
        pull_missing(self.engine, wanted, self.states.append, _wait, self.notices.append, retries)

    def failures(self, *wanted: WantedImage) -> dict[str, LaunchFailed]:
        with pytest.raises(PullsFailed) as failed:
            self(*wanted)
        return dict(failed.value.failures)

    def found(self, name: str, digest: str | None = None) -> str:
        """The digest of what runs would be made from."""
        return find_image(self.engine, name, digest, self.notices.append).digest

    @property
    def troubles(self) -> list[str]:
        return list(dict.fromkeys(state.trouble for state in self.states if state.trouble))


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False
