"""How much repeated measurements scatter. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from llem_runner.contract.result import Pass, PassesSpread


def coefficient_of_variation(values: Sequence[float]) -> float | None:
    """Sample standard deviation over mean of at least two values; None where the mean is not positive."""
    mean = statistics.fmean(values)
    return statistics.stdev(values) / mean if mean > 0 else None


def passes_spread(passes: Sequence[Pass], durations_s: Sequence[float]) -> PassesSpread | None:
    """The spread of the passes of one window, which lasted `durations_s`; None where there is only one.

    A pass without output tokens, or whose energy is not known, has no energy per token: then there is none of all.
    """
    if len(passes) < 2:
        return None
    per_token_j = [one.energy_j / one.output_tokens for one in passes if one.energy_j is not None and one.output_tokens]
    tokens_per_s = [one.output_tokens / duration_s for one, duration_s in zip(passes, durations_s, strict=True)]
    return PassesSpread(
        energy_per_output_token_cv=coefficient_of_variation(per_token_j) if len(per_token_j) == len(passes) else None,
        output_tokens_per_s_cv=coefficient_of_variation(tokens_per_s),
        n=len(passes),
    )
