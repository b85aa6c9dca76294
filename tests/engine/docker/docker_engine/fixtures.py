"""The pytest fixtures `engine` and `engine_gpus`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .engine import Engine
from .gpus import SimulatedGpus


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The running engine, which nobody stops before the tests are through.

    `make test` brings it up. Where it is not up the test is skipped; with CI=true it fails.
    """
    engine = Engine.of_this_checkout()
    if not engine.daemon.answers():
        reason = "NO CONTAINER TESTED: the test engine is not up (make engine-up; make test does so where root is had)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with engine.used():
        yield engine


@pytest.fixture
def engine_gpus(engine: Engine) -> Iterator[SimulatedGpus]:
    """The engine's simulated GPUs, two H100, for one test alone."""
    with engine.gpus.for_one_test():
        yield engine.gpus
