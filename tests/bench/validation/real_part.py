"""The figures of the recordings of real boards, by the code of the tests."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from typing import Any

from real_board_answers import Answer, alone, answer, answers, average_only, counter_answers
from real_boards import LOAD_POWER_W, TRACES, counter_edges

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator

COUNTER_BOARDS = ("NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA Something New")
COUNTER_ROUNDS, POLL_S, NEAR = 6, 0.047, 0.015
"""`NEAR`: how well the power of a load of `counter_edges.csv` is known."""


def real_boards() -> dict[str, Any]:
    """Everything that the page shows of real boards. Errors and widths are shares of the energy."""
    return {"windows": _windows(), "average": _average(), "counter": _counter(), "edges": _edges()}


def _windows() -> list[dict[str, Any]]:
    rows = []
    for trace in TRACES:
        for length_s in (1, 2, 5, 8):
            rows.append({"board": trace.board, "window_s": length_s, **_figures(answers(trace, length_s))})
        load = [each for each in answers(trace) if each.span.kind == "load"]
        rows.append({"board": trace.board, "window_s": load[0].span.length_s, "load": True, **_figures(load)})
    return rows


def _average() -> dict[str, Any]:
    """The whole load of the board that tells nothing but the 1 s average."""
    trace = next(trace for trace in TRACES if "3090" in trace.board)
    [load] = [span for span in trace.spans() if span.kind == "load"]
    found = Estimator(average_only(trace.series()), board_facts(trace.board)).energy(load.start_s, load.end_s)
    return {"board": trace.board, "window_s": load.length_s, **_figures([answer(load, found, trace.gain)])}


def _counter() -> list[dict[str, Any]]:
    """By a counter alone, and with the board's own power readings beside it."""
    rows: list[dict[str, Any]] = []
    for beside in (False, True):
        rng = random.Random(9)
        for board in COUNTER_BOARDS:
            found: dict[int, list[Answer]] = {}
            for trace in TRACES:
                for _ in range(COUNTER_ROUNDS):
                    for each in counter_answers(trace, board, POLL_S, rng, beside=beside):
                        found.setdefault(round(each.span.length_s), []).append(each)
            named = f"{board}, readings beside it" if beside else board
            rows += [{"board": named, "window_s": length_s, **_figures(found[length_s])} for length_s in (1, 2, 5, 8)]
    return rows


def _edges() -> list[dict[str, Any]]:
    rows = []
    for board, watts in LOAD_POWER_W.items():
        held, widths, errors = 0, [], []
        loads = [edges for edges in counter_edges() if edges.board == board and 0.25 <= edges.nominal_s <= 2]
        for edges in loads:
            found = Estimator(alone(edges), board_facts(board)).energy(edges.start_s, edges.end_s)
            truth_j = watts * (edges.end_s - edges.start_s)
            if found.total_j is None or found.lower_j is None or found.upper_j is None:
                continue
            held += found.lower_j <= (1 + NEAR) * truth_j and found.upper_j >= (1 - NEAR) * truth_j
            widths.append((found.upper_j - found.lower_j) / 2 / truth_j)
            errors.append(abs(found.total_j - truth_j) / truth_j)
        rows.append(
            {
                "board": board,
                "loads": len(loads),
                "hold": held / len(loads),
                "mean": statistics.fmean(errors),
                "worst": max(errors),
                "half_width": statistics.median(widths),
            }
        )
    return rows


def _figures(found: Sequence[Answer]) -> dict[str, Any]:
    return {
        "windows": len(found),
        "mean": statistics.fmean(each.error for each in found),
        "worst": max(each.error for each in found),
        "hold": sum(each.holds for each in found) / len(found),
        "half_width": statistics.median(each.half_width for each in found),
    }
