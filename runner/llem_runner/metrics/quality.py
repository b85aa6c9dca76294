"""The quality of one result: each check with its value and its limit, and the level that follows. Pure.

B asks for every check; C is measured, but some check failed or could not be made; D is not measured. A is the host's to
give, over the cycles of an experiment.
"""

from __future__ import annotations

from collections.abc import Sequence

from llem_runner.contract.result import Check, Energy, Level, Warmup
from llem_runner.metrics.foreign import Occupancy, strangers_of

WINDOW_S = 10.0
BOUNDS_PERCENT = 3.0
AGREEMENT_PERCENT = 3.0
SATURATION_PERCENT = 80.0
AGREEMENT_OVER_S = 5.0
"""Over a shorter span the power readings see too little to judge the counter by."""

# What B asks for, in the order in which it is shown. A check that this runner cannot make yet is recorded as unknown.
B_CHECKS = (
    "counter_agrees",
    "window_length",
    "bounds_width",
    "throttling",
    "foreign_processes",
    "warmup_converged",
    "real_weights",
    "saturation",
    "prefix_cache",
)


def window_length(duration_s: float) -> Check:
    """The window is at least 10 s long."""
    return Check(name="window_length", passed=duration_s >= WINDOW_S, value=duration_s, limit=WINDOW_S)


def counter_agrees(energy: Energy, duration_s: float) -> Check:
    """Counter and power readings differ by at most 3 % over at least 5 s (value in percent)."""
    if energy.total_j is None or energy.cross_check_j is None or energy.method != "counter" or energy.total_j <= 0:
        return Check(name="counter_agrees", limit=AGREEMENT_PERCENT)
    percent = 100 * abs(energy.cross_check_j - energy.total_j) / energy.total_j
    passed = percent <= AGREEMENT_PERCENT if duration_s >= AGREEMENT_OVER_S else None
    return Check(name="counter_agrees", passed=passed, value=percent, limit=AGREEMENT_PERCENT)


def bounds_width(energy: Energy) -> Check:
    """The bounds lie within ±3 % of the energy (value in percent). Narrow bounds that no counter proves are unknown."""
    if energy.total_j is None or energy.lower_j is None or energy.upper_j is None or energy.total_j <= 0:
        return Check(name="bounds_width", limit=BOUNDS_PERCENT)
    percent = 100 * max(energy.upper_j - energy.total_j, energy.total_j - energy.lower_j) / energy.total_j
    narrow: bool | None = percent <= BOUNDS_PERCENT
    if narrow and energy.method != "counter":
        narrow = None
    return Check(name="bounds_width", passed=narrow, value=percent, limit=BOUNDS_PERCENT)


def warmup_converged(warmup: Warmup, limit: float) -> Check:
    """The warm-up ended because it was steady; no warm-up at all is a failure, one that was not watched unknown."""
    passed = False if warmup.iterations == 0 else warmup.converged
    return Check(name="warmup_converged", passed=passed, value=warmup.cv, limit=limit)


def real_weights(real: bool) -> Check:
    """The weights are a trained model's: values alone move the power of matrix products by up to 40 %."""
    return Check(name="real_weights", passed=real, value=real, limit=True)


def prefix_cache(cached_tokens: int | None) -> Check:
    """No input token was taken from a cache across passes."""
    passed = None if cached_tokens is None else cached_tokens == 0
    return Check(name="prefix_cache", passed=passed, value=cached_tokens, limit=0)


def saturation(share: float | None) -> Check:
    """At least 80 % of the requests that can run at once were running for 80 % of the window (value in percent)."""
    percent = None if share is None else 100 * share
    passed = None if percent is None else percent >= SATURATION_PERCENT
    return Check(name="saturation", passed=passed, value=percent, limit=SATURATION_PERCENT)


def throttling(throttled: bool | None) -> Check:
    """No clock was lowered by heat or by the hardware within the window."""
    return Check(name="throttling", passed=None if throttled is None else not throttled, value=throttled, limit=False)


def foreign_processes(gpus: Sequence[Occupancy], own: int | None) -> Check:
    """Nobody else computed on the run's GPUs, before the load or in the window (value: processes of others)."""
    found = strangers_of(gpus, own)
    return Check(name="foreign_processes", passed=None if found is None else found == 0, value=found, limit=0)


def with_foreign_processes(checks: Sequence[Check], seen: int | None) -> tuple[Check, ...]:
    """The checks of a run with what the host saw by process id, which a container cannot: strangers, or surely none.

    What either of the two saw counts. `seen` None: the host knows nothing.
    """

    def completed(check: Check) -> Check:
        if check.name != "foreign_processes" or seen is None or (check.passed is not None and not seen):
            return check
        value = max(seen, check.value if isinstance(check.value, int) else 0)
        return Check(name=check.name, passed=value == 0, value=value, limit=0)

    return tuple(completed(check) for check in checks)


def complete(made: Sequence[Check]) -> tuple[Check, ...]:
    """All checks of B in their order; those that were not made are there as unknown."""
    by_name = {check.name: check for check in made}
    return tuple(by_name.get(name, Check(name=name)) for name in B_CHECKS)


def level(checks: Sequence[Check], energy: Energy) -> Level:
    """The worst level that holds for all checks."""
    if energy.total_j is None:
        return "D"
    return "B" if all(check.passed is True for check in checks) else "C"
