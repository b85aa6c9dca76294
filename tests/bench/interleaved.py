"""Two ways of doing the same work, in interleaved pairs: which of them is first changes from pair to pair, so that a
machine that slows down treats both alike."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def pairs(
    ours: Callable[[], object], theirs: Callable[[], object], count: int, tokens: int
) -> tuple[list[float], dict[str, float]]:
    """Speed ratios of `count` pairs, ours over theirs, and the median tokens/s of both, where each makes `tokens`."""
    ours_s, theirs_s = timed(ours, theirs, count)
    rates = {
        "backend_tokens_per_s": tokens / statistics.median(ours_s),
        "bare_tokens_per_s": tokens / statistics.median(theirs_s),
    }
    return [bare / backend for backend, bare in zip(ours_s, theirs_s, strict=True)], rates


def timed(ours: Callable[[], object], theirs: Callable[[], object], count: int) -> tuple[list[float], list[float]]:
    """Seconds that each of `count` pairs took, ours and theirs."""
    ours_s: list[float] = []
    theirs_s: list[float] = []
    for pair in range(count):
        for is_ours in (True, False) if pair % 2 == 0 else (False, True):
            (ours_s if is_ours else theirs_s).append(seconds(ours if is_ours else theirs))
    return ours_s, theirs_s


def interval(ratios: Sequence[float]) -> dict[str, float]:
    """Geometric mean of ratios with its 95 % interval (Student's t on the logarithms)."""
    from scipy.stats import t

    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.fmean(logs)
    half = t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return {"ratio": math.exp(mean), "lower": math.exp(mean - half), "upper": math.exp(mean + half)}


def sentence(report: Mapping[str, Any], what: str, rival: str, target: float) -> str:
    """A report of `pairs` and `interval` for people: tokens/s, the ratio with its interval, and what it should be."""
    return (
        f"{report['model']}, {what}: {report['backend_tokens_per_s']:.0f} tokens/s, ratio to {rival} "
        f"{report['ratio']:.3f} (95 %: {report['lower']:.3f} to {report['upper']:.3f}, {report['pairs']} pairs, "
        f"target {target})"
    )


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    started_s = time.perf_counter()
    work()
    return time.perf_counter() - started_s
