"""What was found of a board: judged, and as lines of Markdown. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

MOST_SLOWDOWN = 0.02

Found = dict[str, Any]
Check = tuple[str, str, bool]
"""What must hold, what was found, and whether it holds."""


def checks(found: Found) -> Iterator[Check]:
    """Everything that llem assumes of a board or promises, as far as it was measured."""
    assumed = found["assumed"]
    if "counter" in found:
        counter, lag = found["counter"], assumed["lag_ms"]
        lag_ms = 1000 * counter["lag_s"]
        yield (
            f"the counter's lag lies in the {lag['low']:g} to {lag['high']:g} ms assumed of {assumed['family']}",
            f"{lag_ms:.0f} ms ({1000 * counter['lag_low_s']:.0f} to {1000 * counter['lag_high_s']:.0f} ms over parts)",
            # Both are read from polls some 3 ms apart, and a load's start takes a moment to show.
            lag["low"] - 3 <= lag_ms <= lag["high"] + 3,
        )
    if "power_instant_w" in found:
        window, window_ms = assumed["instant_window_ms"], 1000 * found["power_instant_w"]["window_s"]
        yield (
            f"the instant reading's window lies in the {window['low']:g} to {window['high']:g} ms assumed",
            f"{window_ms:.0f} ms",
            window["low"] - 10 <= window_ms <= window["high"] + 10,
        )
    if "integration" in found:
        one = found["integration"]
        left = f"unexplained: {_percent(one['left_by_all'])} as all of it, {_percent(one['left_by_part'])} as a part"
        yield "the counter adds up all of the power", f"{one['verdict']} ({left})", one["verdict"] != "part"
    if "zeus" in found:
        held = sum(each["holds"] for each in found["zeus"])
        yield (
            "bounds reach the reference in every window",
            f"{held} of {len(found['zeus'])}",
            held == len(found["zeus"]),
        )
    if "speed" in found:
        speed = found["speed"]
        yield (
            f"the recorder takes at most {_percent(MOST_SLOWDOWN)} of the tokens/s",
            f"ratio {speed['ratio']:.4f} (95 %: {speed['lower']:.4f} to {speed['upper']:.4f}, {speed['pairs']} pairs)",
            speed["upper"] >= 1 - MOST_SLOWDOWN,
        )
    for one in found.get("vllm", []):
        if "not_run" not in one:
            yield one["must"], one["was"], one["holds"]


def markdown(found: Found) -> Iterator[str]:
    """The report's tables."""
    yield "| what must hold | found | |"
    yield "|---|---|---|"
    for must, was, holds in checks(found):
        yield f"| {must} | {was} | {'holds' if holds else '**does not hold**'} |"
    for one in found.get("vllm", []):
        if "not_run" in one:
            yield f"| {one['must']} | {one['not_run']} | not run |"
    yield from ("", "| sensor | every | window | lag | |", "|---|---:|---:|---:|---|")
    if "counter" in found:
        yield _counter_row(found)
    for column in ("power_instant_w", "power_w", "power_average_w"):
        if column in found:
            one = found[column]
            times = (f"{1000 * one[name]:.0f} ms" for name in ("update_s", "window_s", "lag_s"))
            yield f"| `{column}` | {' | '.join(times)} | scope {found['power_scope']} |"
    if "zeus" in found:
        yield from _zeus(found["zeus"])
    for name, why in found["missing"].items():
        yield from ("", f"Not found: {name}: {why}.")


def _counter_row(found: Found) -> str:
    counter = found["counter"]
    rhythm = ", ".join(f"{1000 * counter[name]:.2f}" for name in ("period_p10_s", "period_p90_s"))
    note = (
        f"scope {found['counter_scope']}; 10 % and 90 % of the periods: {rhythm} ms; "
        f"counts in {counter['unit_mj']} mJ; {counter['idle_w']:.0f} W without load, {counter['load_w']:.0f} W with it"
    )
    return f"| counter | {1000 * counter['period_s']:.2f} ms | – | {1000 * counter['lag_s']:.0f} ms | {note} |"


def _zeus(windows: list[Found]) -> Iterator[str]:
    yield ""
    yield "| window | windows | llem | worst | half-width | Zeus | worst |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for length_s in sorted({each["length_s"] for each in windows}):
        those = [each for each in windows if each["length_s"] == length_s]
        figures = [
            statistics.fmean(each["ours"] for each in those),
            max(each["ours"] for each in those),
            statistics.median(each["half_width"] for each in those),
            statistics.fmean(each["zeus"] for each in those),
            max(each["zeus"] for each in those),
        ]
        yield f"| {length_s:g} s | {len(those)} | {' | '.join(map(_percent, figures))} |"
    yield ""
    yield (
        "The reference of these windows is the load's own times with the two powers that the counter gives over the "
        "whole recording, good to about 1 %."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
