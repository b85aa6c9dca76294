"""What people who measure GPUs know to look at first: each rule a warning with its numbers. Pure.

They do not decide the quality of a result; they say where to look when two results differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llem_runner.contract.result import Check
from llem_runner.metrics.foreign import MEMORY_BYTES, Occupancy
from llem_runner.metrics.quality import WINDOW_S
from llem_runner.power.sensors import Board

RISE_C = 10.0
PADDING_SHARE = 0.1

_GIB = 2**30

Warnings = Iterator[tuple[str, str]]
"""(code, message) pairs."""


def of_the_window(duration_s: float, rise_c: float | None) -> Warnings:
    """A window that is short, or in which a GPU was still warming up; `rise_c` None: no board told a temperature."""
    if duration_s < WINDOW_S:
        yield (
            "window_short",
            f"The measured window is {duration_s:.4g} s long. Below {WINDOW_S:g} s the steps of a sensor weigh, and a "
            "moment decides: raise energy.min_window_seconds.",
        )
    if rise_c is not None and rise_c > RISE_C:
        yield (
            "temperature_rise",
            f"A GPU became {rise_c:g} °C warmer in the window (above {RISE_C:g} °C: it was not warm at the start, "
            "and a warm chip draws more). Raise warmup.thermal_floor_seconds.",
        )


def of_the_batch(n: int, batch_limit: int) -> Warnings:
    """Fewer prompts than the engine takes at once."""
    if n < batch_limit:
        yield (
            "batch_not_filled",
            f"{n} prompts do not fill a batch of {batch_limit}: it was measured at a batch of {n}. Raise n.",
        )


def of_the_padding(share: float | None) -> Warnings:
    """Work for nobody's tokens, which looks like an engine's inefficiency; None: the engine does not tell."""
    if share is not None and share > PADDING_SHARE:
        yield (
            "padding",
            f"{share:.0%} of the token positions that were computed are padding (above {PADDING_SHARE:.0%}: the batch "
            "costs, not the engine). Set pytorch.batch_order: by_length, or output_length: fixed where answers end at "
            "different steps.",
        )


def of_the_boards(boards: Sequence[Board], occupied: Sequence[Occupancy]) -> Warnings:
    """Boards, and as many occupancies: how they were when the run came to them."""
    for board in boards:
        if board.state.get("persistence") is False:
            yield (
                "persistence_mode_off",
                f"Persistence mode is off on GPU {board.index}: the driver may let it fall asleep between runs, and "
                f"the first reading after it is not of a GPU at rest (nvidia-smi -i {board.index} -pm 1).",
            )
    for board, one in zip(boards, occupied, strict=True):
        if one.bytes_before is not None and one.bytes_before > MEMORY_BYTES:
            yield (
                "memory_in_use_before",
                f"{one.bytes_before / _GIB:.1f} GiB of GPU {board.index} were in use before the model was loaded "
                f"(more than {MEMORY_BYTES / _GIB:g} GiB are somebody's).",
            )


def of_the_company(check: Check, occupied: Sequence[Occupancy], own: int | None) -> Warnings:
    """Who else was on the GPUs, or why nobody can tell; `check` is `foreign_processes`."""
    if check.passed is True or not occupied:
        return
    before = "/".join(_count(one.processes_before) for one in occupied)
    during = "/".join(_count(one.processes_during) for one in occupied)
    seen = f"compute processes before the load: {before}, in the window: {during}, of the run itself: {_count(own)}"
    if check.passed is False:
        yield "foreign_processes", f"Somebody else was on the run's GPUs, and their work is in its energy ({seen})."
    else:
        yield (
            "foreign_processes_unknown",
            f"Whether somebody else computed on the run's GPUs cannot be told from inside the run ({seen}).",
        )


def _count(number: int | None) -> str:
    return "unknown" if number is None else str(number)
