"""Ratios and verdicts as they stand in a cell of a table: a few short lines, none wider than `WIDTH`. Pure."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from llem.results.comparison import Comparison, Ratio, Verdict
from llem.results.levels import LEVELS

WIDTH = 19
"""As wide as "not distinguishable": two such columns, the latencies and a name fit into 80."""

Words = Mapping[Verdict, str]
ENERGY_WORDS: Words = {"lower": "less", "higher": "more"}
SPEED_WORDS: Words = {"lower": "slower", "higher": "faster"}
_OTHER_WORDS: Words = {
    "not_distinguishable": "not distinguishable",
    "no_interval": "no interval",
    "not_measured": "not measured",
}
_OPPOSITE: Mapping[Verdict, Verdict] = {"lower": "higher", "higher": "lower"}


def ratio_lines(ratio: Ratio, words: Words, mark: str) -> Iterator[str]:
    """Ratio, interval and verdict; `mark` stands beside a difference that is named."""
    if ratio.ratio is None:
        yield _verdict(ratio.verdict, words, mark)
        return
    if ratio.ci95_lower is None or ratio.ci95_upper is None:
        yield f"×{_rough(ratio.ratio)}"
        for part in (ratio.reason or _OTHER_WORDS["no_interval"]).replace(": ", ":\n").splitlines():
            yield from textwrap.wrap(part, WIDTH)
        return
    places = _places(ratio.ci95_upper - ratio.ci95_lower)
    number = f"×{_decimal(ratio.ratio, places)}"
    interval = f"[{_decimal(ratio.ci95_lower, places)}, {_decimal(ratio.ci95_upper, places)}]"
    yield from [f"{number} {interval}"] if len(number) + len(interval) < WIDTH else [number, interval]
    yield _verdict(ratio.verdict, words, mark)


def range_lines(ratios: Sequence[Ratio], words: Words, mark: str) -> Iterator[str]:
    """Several ratios: from the least to the greatest, and how often which verdict."""
    known = [ratio.ratio for ratio in ratios if ratio.ratio is not None]
    if known:
        yield f"×{_rough(min(known))} … ×{_rough(max(known))}"
    for verdict, count in Counter(ratio.verdict for ratio in ratios).items():
        yield f"{count} {_verdict(verdict, words, mark)}"


def inverted(ratio: Ratio) -> Ratio:
    """The same with reference and experiment changed over."""

    def over(value: float | None) -> float | None:
        return 1 / value if value else None

    return ratio.model_copy(
        update={
            "ratio": over(ratio.ratio),
            "ci95_lower": over(ratio.ci95_upper),
            "ci95_upper": over(ratio.ci95_lower),
            "verdict": _OPPOSITE.get(ratio.verdict, ratio.verdict),
        }
    )


def mark_of(comparisons: Sequence[Comparison]) -> str:
    """What a difference is marked with: the worst level where it is C or D, and whether boards were simulated."""
    level = max((each.level for each in comparisons), key=LEVELS.index)
    simulated = any(each.simulated for each in comparisons)
    if not simulated and LEVELS.index(level) < LEVELS.index("C"):
        return ""
    return f"({level}, simulated)" if simulated else f"({level})"


def _verdict(verdict: Verdict, words: Words, mark: str) -> str:
    return f"{words[verdict]} {mark}".rstrip() if verdict in words else _OTHER_WORDS[verdict]


def _places(width: float) -> int:
    """Decimal places that show an interval of this width as one."""
    return min(max(2, math.ceil(-math.log10(width / 2))), 5) if width > 0 else 2


def _decimal(value: float, places: int) -> str:
    return f"{value:.{places}f}" if value < 1000 else f"{value:.3g}"


def _rough(value: float) -> str:
    """Three significant digits, where no interval says how many there are."""
    return f"{value:#.3g}".removesuffix(".")
