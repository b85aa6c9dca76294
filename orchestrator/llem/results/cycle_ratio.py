"""One quantity of two runs of the same cycle as a logarithm of their ratio, with what the sensor leaves open. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

from llem.results.levels import boards
from llem.results.paired import LogRatio
from llem_runner.contract import ExperimentResult

CycleRatio = Callable[[ExperimentResult, ExperimentResult], LogRatio | None]
"""(reference, run) → ln(run / reference); None where one of them did not measure the quantity."""

_LARGEST_GAIN_PERCENT = 99.0
# A lower bound of 0 J leaves everything open; as a factor, so much that no difference is seen through it.
_UNBOUNDED = math.log(1e6)


def energy_ratio(reference: ExperimentResult, run: ExperimentResult) -> LogRatio | None:
    """J/output token. The bounds are those of both energies; on different boards both gains widen them.

    A board's gain is the same in all that is measured on it, and drops out of a ratio within one set of boards.
    """
    measured = _log(run.energy.per_output_token_j, reference.energy.per_output_token_j)
    if measured is None:
        return None
    (below, above), (reference_below, reference_above) = _open_logs(run), _open_logs(reference)
    gain = 0.0 if same_boards(reference, run) else gain_log(reference) + gain_log(run)
    return LogRatio(measured, measured - below - reference_above - gain, measured + above + reference_below + gain)


def throughput_ratio(reference: ExperimentResult, run: ExperimentResult) -> LogRatio | None:
    """Output tokens/s: counted tokens over a clock's seconds, which need no bounds."""
    measured = _log(run.throughput.output_tokens_per_s, reference.throughput.output_tokens_per_s)
    return None if measured is None else LogRatio(measured, measured, measured)


def same_boards(reference: ExperimentResult, run: ExperimentResult) -> bool:
    """Whether both were measured on one set of boards, as far as the boards are known."""
    return boards(reference) == boards(run) != frozenset()


def gain_log(run: ExperimentResult) -> float:
    """How far the boards' gain may be off, as a logarithm; 0 where the result does not say."""
    percent = min(max(run.energy.systematic_percent or 0.0, 0.0), _LARGEST_GAIN_PERCENT)
    return -math.log1p(-percent / 100)


def _open_logs(run: ExperimentResult) -> tuple[float, float]:
    """How far below and above its measured energy a run's true one may lie; 0 where no bounds are known."""
    energy = run.energy
    below, above = _log(energy.total_j, energy.lower_j), _log(energy.upper_j, energy.total_j)
    if energy.total_j and energy.lower_j is not None and energy.lower_j <= 0:
        below = _UNBOUNDED
    return max(below or 0.0, 0.0), max(above or 0.0, 0.0)


def _log(value: float | None, over: float | None) -> float | None:
    return math.log(value) - math.log(over) if value and over and value > 0 and over > 0 else None
