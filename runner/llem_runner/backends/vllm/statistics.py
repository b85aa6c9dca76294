"""What the engine tells of each of its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Progress:
    """One of vLLM's stat loggers: counts new tokens as they come, and preemptions.

    `on_tokens` may raise: then `LLMEngine.step` ends with that, and so does the pass.
    """

    def __init__(self) -> None:
        self.on_tokens: Callable[[int], None] | None = None
        self.preemptions = 0

    def record(
        self,
        scheduler_stats: Any,
        iteration_stats: Any,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        """Called by vLLM after each step of the engine."""
        del scheduler_stats, mm_cache_stats, engine_idx
        if iteration_stats is None:
            return
        self.preemptions += iteration_stats.num_preempted_reqs
        if iteration_stats.num_generation_tokens and self.on_tokens is not None:
            self.on_tokens(iteration_stats.num_generation_tokens)

    def log(self) -> None:
        """vLLM's own loggers print here."""

    def log_engine_initialized(self) -> None:
        """Nothing to tell."""

    def record_sleep_state(self, *_: Any, **__: Any) -> None:
        """The engine never sleeps here."""
