"""Why a part of a result is empty, or is not to be trusted as it stands: a warning for each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llem_runner.backends.protocol import BackendFacts
from llem_runner.contract.result import (
    Check,
    Energy,
    HostEnergy,
    Memory,
    RecorderStats,
    Thermal,
    Tokens,
    Warmup,
)
from llem_runner.power.sensors import Board

Warnings = Iterator[tuple[str, str]]
"""(code, message) pairs."""


def of_the_workload(memory: Memory, tokens: Tokens, warmup: Warmup, facts: BackendFacts) -> Warnings:
    """What the engine does not tell."""
    if memory.peak_allocated_bytes is None:
        yield "allocator_unknown", "Peak allocated memory is unknown: the device has no counting allocator."
    if tokens.cached is None:
        yield "cached_tokens_unknown", "Whether input tokens came from a cache is unknown: this engine does not tell."
    if tokens.computed is None:
        yield (
            "computed_tokens_unknown",
            "How many token positions were computed, padding included, is unknown: this engine does not tell.",
        )
    if facts.parameters is None or facts.model_bytes is None:
        yield "model_size_unknown", "The model's parameters or bytes are unknown: this engine does not tell."
    if warmup.converged is None:
        yield "warmup_not_watched", "Whether the warm-up converged is unknown: the experiment does not watch for it."
    elif warmup.cv is None:
        yield "warmup_cv_unknown", "The scatter of the warm-up is unknown: it had fewer iterations than its window."


_TIMES = {
    "request_s": ("request_time_unknown", "Times of whole requests"),
    "queue_s": ("queue_time_unknown", "Queue times"),
    "ttft_s": ("first_token_time_unknown", "Times to the first token"),
    "itl_s": ("token_times_unknown", "Times between tokens"),
}


def of_the_times(unknown: Mapping[str, str]) -> Warnings:
    """Times that are not known, by their name in `Latency`, with the reason."""
    for part, reason in unknown.items():
        code, words = _TIMES[part]
        yield code, f"{words} are unknown: {reason}."


def of_the_compute(reason: str | None) -> Warnings:
    """Why floating-point operations were not counted."""
    if reason is not None:
        yield "flops_not_counted", f"Floating-point operations were not counted: {reason}."


def of_the_host(energy: HostEnergy, problem: str | None) -> Warnings:
    """Why the host's own energy is not known."""
    if problem is not None:
        yield "host_energy_not_measured", f"Host energy was not measured: {problem}."
    elif energy.source == "rapl" and energy.dram_j is None:
        yield "memory_energy_unknown", "The energy of the host's memory is unknown: RAPL has no counter of it here."


def of_the_boards(thermal: Thermal, memory: Memory, recorder: RecorderStats | None) -> Warnings:
    """What the boards did not tell, where they were read."""
    if thermal.start_c is None:
        yield "temperature_unknown", "Temperatures are unknown: no board gave any in the window."
    if thermal.throttled is None:
        yield "throttling_unknown", "Whether clocks were throttled is unknown: no board told in the window."
    if memory.peak_device_bytes is None:
        yield "device_memory_unknown", "Peak device memory is unknown: not every board told it in the window."
    if recorder is None:
        yield "recorder_evenness_unknown", "How evenly the power was read is unknown: there are too few readings."


def of_the_energy(energy: Energy, agreement: Check, boards: tuple[Board, ...]) -> Warnings:
    """What is not known, or not sure, of a window whose energy is."""
    if energy.total_j is None:
        return
    if energy.source != "nvml":
        yield (
            "bounds_unknown",
            f"How wrong the energy may be is unknown: {energy.source} tells no bounds, and reads the counter only at "
            "the edges of the window.",
        )
    elif energy.method != "counter":
        yield (
            "bounds_not_proven",
            "The energy is made from power readings, without a counter: its bounds miss a load that repeats in step "
            "with the readings.",
        )
    elif energy.cross_check_j is None:
        yield "cross_check_unknown", "The energy counter has no cross-check: the power readings do not give the window."
    if agreement.passed is False:
        scopes = {(board.counter_scope or "", board.power_scope or "") for board in boards}
        words = "".join(
            f" The counter is the {counter}'s, the power the {power}'s."
            for counter, power in sorted(scopes)
            if counter != power
        )
        yield (
            "counter_disagrees",
            f"Energy counter and power readings differ by {agreement.value:.1f} % over the window "
            f"(at most {agreement.limit:g} % is expected).{words}",
        )
    if any(device.power_limit_w is None for device in energy.devices):
        yield "power_limit_unknown", "The power limit of a board is unknown: it does not tell."
