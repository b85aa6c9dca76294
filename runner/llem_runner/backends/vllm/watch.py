"""An engine core that ends by itself is told at once to whoever waits for its answer.

vLLM 0.32 notices that its engine core was killed, closes its connections, and then waits for the answer for ever; only
an engine core that can still say that it breaks down ends the wait.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import InvalidStateError
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

_EXIT_CODE_WITHIN_S = 1.0


class EngineWatch:
    """Watches the processes of one engine; `client` is `LLMEngine.engine_core`. An engine in this process has none."""

    def __init__(self, client: Any) -> None:
        manager = getattr(getattr(client, "resources", None), "engine_manager", None)
        self._processes: Sequence[BaseProcess] = tuple(manager.processes) if manager else ()
        self._over = False
        if self._processes:
            threading.Thread(target=self._watch, args=(client,), name="engine-watch", daemon=True).start()

    def end(self) -> None:
        """From now on the processes end because we want it."""
        self._over = True

    def how_it_ended(self) -> str | None:
        """Which process ended and how, in words; None while all of them live, or where they end because we want it."""
        if self._over:
            return None
        ended = [process for process in self._processes if wait([process.sentinel], 0)]
        return ", ".join(f"{process.name} {exit_in_words(_exit_code(process))}" for process in ended) or None

    def _watch(self, client: Any) -> None:
        wait([process.sentinel for process in self._processes])
        if self._over:
            return
        from vllm.v1.engine.exceptions import EngineDeadError

        # First: whoever asks from now on is refused by vLLM itself, and whoever asked before is among those below.
        client.resources.engine_dead = True
        client.outputs_queue.put_nowait(EngineDeadError())
        for future in list(client.utility_results.values()):
            with suppress(InvalidStateError):
                future.set_exception(EngineDeadError())


def exit_in_words(exit_code: int | None) -> str:
    """How a process ended, by the exit code that `multiprocessing` gives. Pure."""
    if exit_code is None:
        return "ended"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"was killed by {name}"


def _exit_code(process: BaseProcess) -> int | None:
    """vLLM asks for it as well, and who comes second is told nothing for a moment."""
    deadline_s = time.monotonic() + _EXIT_CODE_WITHIN_S
    while process.exitcode is None and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return process.exitcode
