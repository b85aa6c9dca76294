"""Experiments of one study against each other: `comparisons` of `study_result.json`. Pure.

Which pairs: `pairs.py`. How sure: `paired.py`. What "the same work" is: `work.py`. A difference is named where the
paired t-test, corrected by Holm over all pairs that could have been compared, rejects equality at 5 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Optional

from pydantic import Field

from llem.results.cycle_ratio import CycleRatio, energy_ratio, same_boards, throughput_ratio
from llem.results.levels import LEVELS
from llem.results.paired import holm, paired_ratio
from llem.results.pairs import Kind, Pair, Side, family_size, natural_pairs
from llem.results.work import other_tokens, other_work
from llem_runner.contract import ExperimentResult
from llem_runner.contract.result import Level
from llem_runner.contract.strict import Record

SIGNIFICANCE = 0.05
ONE_CYCLE = "one cycle: no interval"
Verdict = Literal["lower", "higher", "not_distinguishable", "no_interval", "not_measured"]


class Ratio(Record):
    """A quantity of the experiment over the same of the reference, over the `cycles` in which both measured it.

    `ratio` is the geometric mean of the cycles' ratios, within `ci95_lower` and `ci95_upper` with 95 % confidence;
    `p_holm` is `p_value` corrected for `family` pairs, and what `verdict` follows from. `reason` says why there is no
    interval, or no ratio.
    """

    ratio: Optional[float] = Field(default=None, gt=0)
    ci95_lower: Optional[float] = Field(default=None, gt=0)
    ci95_upper: Optional[float] = Field(default=None, gt=0)
    p_value: Optional[float] = None
    p_holm: Optional[float] = None
    family: int
    cycles: tuple[int, ...] = ()
    verdict: Verdict
    reason: Optional[str] = None


class Comparison(Record):
    """One experiment against a reference of the same study.

    `changed` has each swept path at which they differ, with the reference's value and the experiment's. `level` is the
    worse of both. Where `not_compared` says why they cannot be compared, there are no ratios.
    """

    reference_id: str
    experiment_id: str
    kinds: tuple[Kind, ...]
    changed: dict[str, tuple[Any, Any]]
    level: Level
    simulated: bool
    not_compared: Optional[str] = None
    energy_per_output_token: Optional[Ratio] = None
    output_tokens_per_s: Optional[Ratio] = None
    notes: tuple[str, ...] = ()
    """What a reader of the ratios has to know."""


def compare(sides: Sequence[Side]) -> tuple[Comparison, ...]:
    """The comparisons of a study's experiments, which are in the order of the plan; runs are paired by their cycle."""
    pairs = natural_pairs(sides)
    reasons = [_not_compared(pair) for pair in pairs]
    comparable = [pair for pair, reason in zip(pairs, reasons, strict=True) if reason is None]
    family = family_size(sides, comparable)
    energy = iter(_judged([_ratio(pair, energy_ratio, family) for pair in comparable]))
    speed = iter(_judged([_ratio(pair, throughput_ratio, family) for pair in comparable]))
    return tuple(
        _comparison(pair, not_compared=reason) if reason else _comparison(pair, next(energy), next(speed))
        for pair, reason in zip(pairs, reasons, strict=True)
    )


def _comparison(
    pair: Pair, energy: Ratio | None = None, speed: Ratio | None = None, not_compared: str | None = None
) -> Comparison:
    reference, other = pair.reference, pair.other
    paths = dict.fromkeys((*reference.swept, *other.swept))
    both = {path: (reference.swept.get(path), other.swept.get(path)) for path in paths}
    return Comparison(
        reference_id=reference.experiment_id,
        experiment_id=other.experiment_id,
        kinds=pair.kinds,
        changed={path: values for path, values in both.items() if values[0] != values[1]},
        level=max(reference.level, other.level, key=LEVELS.index),
        simulated=reference.simulated or other.simulated,
        not_compared=not_compared,
        energy_per_output_token=energy,
        output_tokens_per_s=speed,
        notes=() if not_compared else tuple(_notes(pair)),
    )


def _not_compared(pair: Pair) -> str | None:
    both = pair.cycles.values()
    return (
        other_work(pair.reference.config, pair.other.config)
        or (None if both else "no cycle was completed of both")
        or other_tokens([one for one, _ in both], [other for _, other in both])
    )


def _ratio(pair: Pair, of: CycleRatio, family: int) -> Ratio:
    """The ratio without its verdict, which needs all p values of the study."""
    logs = {cycle: of(*runs) for cycle, runs in pair.cycles.items()}
    known = {cycle: log for cycle, log in logs.items() if log is not None}
    if not known:
        return Ratio(family=family, verdict="not_measured", reason="not measured in any cycle of both")
    found = paired_ratio(list(known.values()))
    reason = None
    if found.p_value is None:
        reason = ONE_CYCLE if len(known) == 1 else "the cycles agree to the digit: no interval"
    return Ratio(
        ratio=found.ratio,
        ci95_lower=found.lower,
        ci95_upper=found.upper,
        p_value=found.p_value,
        family=family,
        cycles=tuple(known),
        verdict="no_interval",
        reason=reason,
    )


def _judged(ratios: Sequence[Ratio]) -> list[Ratio]:
    """The ratios with their verdicts: one family of tests a quantity."""
    tested = [ratio for ratio in ratios if ratio.p_value is not None]
    p_values = [ratio.p_value for ratio in tested if ratio.p_value is not None]
    adjusted = iter(holm(p_values, max((ratio.family for ratio in ratios), default=0)))
    return [ratio if ratio.p_value is None else _verdict(ratio, next(adjusted)) for ratio in ratios]


def _verdict(ratio: Ratio, p_holm: float) -> Ratio:
    verdict: Verdict = "not_distinguishable"
    if p_holm <= SIGNIFICANCE:
        verdict = "lower" if (ratio.ratio or 1.0) < 1 else "higher"
    return ratio.model_copy(update={"p_holm": p_holm, "verdict": verdict})


def _notes(pair: Pair) -> Iterator[str]:
    runs = list(pair.cycles.values())
    apart = [each for each in runs if _both_measured(each) and not same_boards(*each)]
    if apart:
        one, other = (max(run.energy.systematic_percent or 0.0 for run in side) for side in zip(*apart, strict=True))
        yield (
            f"not on the same boards in {len(apart)} of {len(runs)} cycles: the interval of J/output token is widened "
            f"by what their gains leave open, ±{one:g} % and ±{other:g} %"
        )
    meters = {run.energy.source for each in runs if _both_measured(each) for run in each}
    if len(meters) > 1:
        yield f"J/output token is by different meters: {' and '.join(sorted(meters))}"
    if any(run.energy.lower_j is None for each in runs if _both_measured(each) for run in each):
        yield "no bounds of the energy are known: the interval of J/output token is of the scatter alone"
    if len(runs) > 1 and _one_after_the_other(pair):
        yield (
            "all cycles of one were measured before those of the other: what drifted meanwhile is in the ratio "
            "(cycle_order: shuffled)"
        )


def _one_after_the_other(pair: Pair) -> bool:
    runs = pair.cycles.values()
    one, other = [one.window.start_unix_s for one, _ in runs], [other.window.start_unix_s for _, other in runs]
    return max(one) < min(other) or max(other) < min(one)


def _both_measured(runs: tuple[ExperimentResult, ExperimentResult]) -> bool:
    return all(run.energy.per_output_token_j is not None for run in runs)
