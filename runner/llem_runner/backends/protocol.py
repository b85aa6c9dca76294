"""What a backend is to the procedure: load, generate with exact per-request counts and times, describe itself, unload.

Times are CLOCK_MONOTONIC seconds (`time.monotonic()`), the clock that the recorder and every event use too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from llem_runner.contract import ExperimentConfig
from llem_runner.metrics.flops import Arithmetic


@dataclass(frozen=True)
class Positions:
    """Token positions that the engine computed for a request: in each, a token went through all layers."""

    computed: int
    padding: int
    """Of those, what belongs to no request: filled up to its batch's width, or gone on with after its stop token."""


@dataclass(frozen=True)
class RequestOutput:
    """One request's answer: the tokens up to and including its stop token, and when they came."""

    token_ids: tuple[int, ...]
    input_tokens: int
    started_s: float
    """When the engine was given the request: waiting in its queue comes after."""
    finished_s: float | None
    """When its last token came; None where the engine tells the end of no single request."""
    first_token_s: float | None = None
    queued_s: float | None = None
    """Seconds spent waiting before the engine began; None where the engine cannot tell."""
    token_times_s: tuple[float, ...] = ()
    """When each output token came; empty where the engine cannot tell."""
    cached_tokens: int | None = None
    positions: Positions | None = None
    """None where the engine cannot tell."""
    paused_s: tuple[tuple[float, float], ...] = ()
    """Spans in which the engine had taken it out of its batch, to compute it anew later."""


@dataclass(frozen=True)
class BackendFacts:
    """What the backend really is and does, for the result."""

    name: str
    version: str
    device_used: str
    effective: dict[str, Any]
    """Parameters as the engine has them, defaults included (JSON values)."""
    packages: dict[str, str]
    parameters: int | None = None
    model_bytes: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    """(code, message) pairs that a reader of the numbers has to know."""
    arithmetic: Arithmetic | None = None
    """What its floating-point operations are counted from; None where the engine does not tell."""
    model: dict[str, Any] | None = None
    """Revision and hashes of the model's files: see `workload.model_files`."""
    notes: dict[str, Any] = field(default_factory=dict)
    processes_per_gpu: int | None = None
    """Processes of the engine that compute on each GPU of the run (0 on the CPU); None where it does not tell."""


@dataclass(frozen=True)
class PeakMemory:
    """Peak bytes since the last reset, as the allocator counts them; None where there is none (a CPU)."""

    allocated_bytes: int | None = None


class Backend(Protocol):
    """An engine with a model in it. Errors are `RunFailed` of kind backend, model, accelerator_oom or inference."""

    def load(
        self,
        config: ExperimentConfig,
        model_path: str,
        adapter_path: str | None,
        gpu_count: int,
        simulated: bool = False,
    ) -> None:
        """Load the model. `gpu_count` GPUs were allocated and are the visible ones; 0 means the CPU.

        Computing on the CPU although GPUs were allocated is an error of kind backend, unless they are `simulated`.
        `model_path` is a folder, `builtin:tiny-llama` (made here), or a name that the engine resolves itself.
        """

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of prompts, truncated and formatted as the configuration asks (the one code all backends share)."""

    def vocabulary(self) -> Sequence[int]:
        """Token ids that a synthetic prompt may be drawn from (no special tokens)."""

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of output tokens."""

    def batch_limit(self) -> int:
        """Most requests in flight at once: the first `batch_limit()` prompts are one full batch."""

    def generate(self, prompts: Sequence[Sequence[int]], on_tokens: Callable[[int], None]) -> list[RequestOutput]:
        """Answer all prompts, in order. `on_tokens(n)` is called with newly generated tokens, as a sign of life."""

    def compiled_graphs(self) -> int | None:
        """Graphs compiled so far; None where nothing is compiled. It grows where a new shape makes a new one."""

    def reset_prefix_cache(self) -> bool | None:
        """Forget prompts seen before; False if it did not work, None where the engine keeps nothing across calls."""

    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def reset_peak_memory(self) -> None:
        """Begin to count peak memory anew."""

    def peak_memory(self) -> PeakMemory:
        """Peak memory since the reset."""

    def facts(self) -> BackendFacts:
        """What was loaded."""

    def unload(self) -> None:
        """Free everything; safe to call twice and after an error."""
