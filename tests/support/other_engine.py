"""A second engine beside the one that all tests share."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from docker_engine import Daemon, Engine


@contextmanager
def another_daemon(engine: Engine, data_size: str | None = None) -> Iterator[Daemon]:
    """A second daemon of the same programs: no simulated GPUs, no images; with a disk of `data_size` (`64m`)."""
    with tempfile.TemporaryDirectory(prefix="llem-engine-", dir="/tmp") as folder, ExitStack() as disk:
        daemon = Daemon(Path(folder), engine.programs)
        if data_size is not None:
            disk.enter_context(_mounted(Path(folder) / "data", data_size))
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()


@contextmanager
def _mounted(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
