"""A second engine beside the one that all tests share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docker_engine import Daemon, Engine


@contextmanager
def another_daemon(engine: Engine) -> Iterator[Daemon]:
    """A second daemon of the same programs: no simulated GPUs, no images."""
    with tempfile.TemporaryDirectory(prefix="llem-engine-", dir="/tmp") as folder:
        daemon = Daemon(Path(folder), engine.programs)
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()
