"""The quality of an experiment over its cycles: the worst level of its runs, or A where they earn it together. Pure.

Two checks compare runs: a run's idle power with the median of the others on the same GPUs, over the whole study; and
the power limits of an experiment's runs. A check that has nothing to compare with is left out; one that could not be
made because something was not measured is there with `passed` None, and what is unknown is not passed. A run that
failed has no level at all: where one did, not every run is B. Relative values are in percent, as in the runner's
checks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from llem.results.statistics import Statistic
from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import Check, Level, Quality

LEVELS: tuple[Level, ...] = ("A", "B", "C", "D")
IDLE_DRIFT_PERCENT = 10.0
CYCLES_NEEDED = 3
HALF_WIDTH_PERCENT = 5.0
WINDOW_NEEDED_S = 30.0
COUNTER_STEPS_NEEDED = 300
BOUNDS_PERCENT = 1.0


IdlePower = Mapping[frozenset[str], Sequence[float]]
"""The idle power of all runs of a study by the GPUs they were measured on, in watt, sorted."""


def idle_power(study: Iterable[ExperimentResult]) -> IdlePower:
    """What runs are compared with. Zero is no idle power."""
    found: dict[frozenset[str], list[float]] = {}
    for run in study:
        if run.energy.idle_power_w:
            found.setdefault(boards(run), []).append(run.energy.idle_power_w)
    return {uuids: sorted(power_w) for uuids, power_w in found.items()}


def boards(run: ExperimentResult) -> frozenset[str]:
    """The GPUs that were measured, by UUID."""
    return frozenset(device.uuid for device in run.energy.devices)


def experiment_quality(
    runs: Sequence[ExperimentResult], energy_per_token: Statistic, study_idle: IdlePower, failed: int = 0
) -> Quality:
    """The quality of the experiment measured by `runs` (at least one), in a study whose idle power is `study_idle`.

    `energy_per_token` is its J/output token over the cycles; `failed` of its cycles gave no result.
    """
    worst = max((run.quality.level for run in runs), key=LEVELS.index)
    checks = tuple(_checks(runs, energy_per_token, study_idle, failed))
    if LEVELS.index(worst) <= LEVELS.index("B"):
        worst = "A" if all(check.passed for check in checks) else "B"
    return Quality(level=worst, checks=checks)


def _checks(
    runs: Sequence[ExperimentResult], energy_per_token: Statistic, study_idle: IdlePower, failed: int
) -> Iterator[Check]:
    yield from _idle_drift(runs, study_idle)
    if len(runs) > 1:
        yield _power_limit(runs)
    yield Check(name="cycles", passed=len(runs) >= CYCLES_NEEDED, value=len(runs), limit=CYCLES_NEEDED)
    yield Check(name="failed_cycles", passed=failed == 0, value=failed, limit=0)
    yield _confidence(energy_per_token)
    shortest_s = min(run.window.duration_s for run in runs)
    yield Check(name="window_length", passed=shortest_s >= WINDOW_NEEDED_S, value=shortest_s, limit=WINDOW_NEEDED_S)
    steps = _least_steps(runs)
    enough = None if steps is None else steps >= COUNTER_STEPS_NEEDED
    yield Check(name="counter_steps", passed=enough, value=steps, limit=COUNTER_STEPS_NEEDED)
    width = _widest_bounds(runs)
    narrow = None if width is None else width <= BOUNDS_PERCENT
    yield Check(name="bounds_width", passed=narrow, value=width, limit=BOUNDS_PERCENT)


def _idle_drift(runs: Sequence[ExperimentResult], study_idle: IdlePower) -> Iterator[Check]:
    drifts = []
    for run in runs:
        own_w = run.energy.idle_power_w
        usual_w = _median_of_others(study_idle.get(boards(run), ()), own_w) if own_w else None
        if own_w and usual_w:
            drifts.append(100 * abs(own_w - usual_w) / usual_w)
    largest = max(drifts, default=None)
    small = None if largest is None else largest <= IDLE_DRIFT_PERCENT
    if not all(run.energy.idle_power_w for run in runs):
        # Of a run whose idle power was not measured nobody knows whether it drifted.
        small = False if small is False else None
        yield Check(name="idle_drift", passed=small, value=largest, limit=IDLE_DRIFT_PERCENT)
    elif largest is not None:
        yield Check(name="idle_drift", passed=small, value=largest, limit=IDLE_DRIFT_PERCENT)


def _median_of_others(power_w: Sequence[float], own_w: float) -> float | None:
    """The median of the sorted `power_w` without one `own_w`, which is among them; None where nothing is left."""
    own, n = bisect_left(power_w, own_w), len(power_w) - 1

    def other(index: int) -> float:
        return power_w[index + (index >= own)]

    return (other((n - 1) // 2) + other(n // 2)) / 2 if n > 0 else None


def _power_limit(runs: Sequence[ExperimentResult]) -> Check:
    limits_w = {device.power_limit_w for run in runs for device in run.energy.devices}
    known_w = sorted(limit_w for limit_w in limits_w if limit_w is not None)
    unknown = not limits_w or None in limits_w
    return Check(name="power_limit", passed=None if unknown else len(known_w) == 1, value=known_w)


def _confidence(energy_per_token: Statistic) -> Check:
    mean, half_width = energy_per_token.mean, energy_per_token.ci95_half_width
    percent = 100 * half_width / mean if mean and half_width is not None else None
    passed = None if percent is None else percent <= HALF_WIDTH_PERCENT
    return Check(name="confidence", passed=passed, value=percent, limit=HALF_WIDTH_PERCENT)


def _least_steps(runs: Sequence[ExperimentResult]) -> int | None:
    steps = [device.counter_steps for run in runs for device in run.energy.devices]
    known = [count for count in steps if count is not None]
    return min(known) if known and len(known) == len(steps) else None


def _widest_bounds(runs: Sequence[ExperimentResult]) -> float | None:
    widths = []
    for run in runs:
        energy = run.energy
        if not energy.total_j or energy.lower_j is None or energy.upper_j is None:
            return None
        widths.append(100 * max(energy.total_j - energy.lower_j, energy.upper_j - energy.total_j) / energy.total_j)
    return max(widths)
