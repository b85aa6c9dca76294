"""vLLM's own processes, as a test sees them."""

from __future__ import annotations

from collections.abc import Sequence

import psutil
from llem_process import wait_until


def engines_of(process: psutil.Process) -> list[psutil.Process]:
    """vLLM's engine core and its workers below `process`."""
    return [child for child in process.children(recursive=True) if child.name().startswith("VLLM::")]


def wait_until_gone(processes: Sequence[psutil.Process]) -> None:
    """Until none of them runs; one that nobody has waited for is gone."""
    assert processes, "there was nothing that could end"
    wait_until("the end of the engine's processes", lambda: not any(map(_runs, processes)))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
