"""The comparisons in the terminal: what is side by side, in how many columns, and what is left out."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from compared_study import outcomes, study_of
from rich.console import Console

from llem.cli import result_table
from llem.results.comparison_text import comparison_text
from llem.results.study_result import RunOutcome, StudyResult

HIGH, LOW = [0.80, 0.81, 0.79], [0.50, 0.504, 0.498]
SLOW, FAST = [100.0, 101.0, 102.5], [101.0, 99.0, 104.0]
TIMES = {"mean": 0.03, "p50": 0.0345, "p90": 0.04, "p95": 0.05, "p99": 0.06, "n": 200}
KNOWN_TIMES = {"latency.ttft_s": TIMES, "latency.itl_s": {**TIMES, "p50": 0.00412}}
UNKNOWN = [{"code": "token_times_unknown", "message": "Times between tokens are unknown: beams."}]


def both(changes: dict[str, Any] | None = None, cycles: int = 3) -> StudyResult:
    """PyTorch, whose latencies are not all known, and vLLM."""
    return study_of(
        outcomes(
            "0" * 12, {"backend": "pytorch"}, HIGH[:cycles], SLOW[:cycles], {"warnings": UNKNOWN, **(changes or {})}
        ),
        outcomes("1" * 12, {"backend": "vllm"}, LOW[:cycles], FAST[:cycles], {**KNOWN_TIMES, **(changes or {})}),
    )


def grid() -> StudyResult:
    """Forty experiments: two workloads, two backends with settings of their own, two precisions."""
    draw = random.Random(0)
    made: list[Sequence[RunOutcome]] = []
    for limit in (16, 64):
        for backend, key in (("pytorch", "pytorch.batch_size"), ("vllm", "vllm.engine.max_num_seqs")):
            for precision in ("bf16", "fp16"):
                for size in (1, 2, 4, 8, 16):
                    swept = {"max_output_tokens": limit, "backend": backend, "precision": precision, key: size}
                    energy = [draw.gauss(1, 0.003) / size for _ in range(3)]
                    speed = [draw.gauss(100, 0.3) * size for _ in range(3)]
                    made.append(outcomes(f"{len(made):012d}", swept, energy, speed))
    return study_of(*made)


def printed(
    study: StudyResult, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """What is printed from the first comparison on, on a terminal of so many columns."""
    monkeypatch.setattr(
        result_table, "console", lambda: Console(width=width, highlight=False, emoji=False, markup=False)
    )
    result_table.print_study(study, Path("results/night"))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    return lines[next(index for index, line in enumerate(lines) if line.startswith("Side by side")) :]


@pytest.mark.parametrize("width", [80, 120])
def test_claim_11_two_backends_stand_side_by_side(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(both({"quality.level": "C", "simulated": True}), width, monkeypatch, capsys)
    assert lines[:9] == [
        "Side by side: the first has least J/output token",
        "experiment       J/output token       tokens/s             median latency",
        "backend vllm     0.5007 ± 0.0076      101.3 ± 6.3          first 34.5 ± 0 ms",
        "C, simulated                                               next 4.12 ± 0 ms",
        "3 cycles                                                   whole 500 ± 0 ms",
        "",
        "backend pytorch  0.8 ± 0.025          101.2 ± 3.1          first n/a",
        "C, simulated     ×1.60 [1.56, 1.64]   ×1.00 [0.95, 1.05]   next n/a",
        "3 cycles         more (C, simulated)  not distinguishable  whole 500 ± 0 ms",
    ]
    assert "n/a in 3 runs of pytorch: Times between tokens are unknown: beams" in lines
    assert any("named where a paired t-test finds it at 5 %" in line for line in lines)
    assert not any("Holm" in line for line in lines)  # of one pair there is nothing to correct


def test_claim_11_one_cycle_shows_a_ratio_without_interval_and_names_no_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(both(cycles=1), 80, monkeypatch, capsys)
    assert [line.split() for line in lines[7:9]] == [
        ["B,", "1", "cycle", "×1.60", "×0.990", "next", "n/a"],
        ["one", "cycle:", "one", "cycle:", "whole", "500", "ms"],
    ]
    assert not any(word in line.split() for line in lines[:10] for word in ("more", "less", "slower", "faster"))


@pytest.mark.parametrize("width", [80, 120])
def test_claim_11_forty_experiments_fit_the_terminal_and_what_is_left_out_is_said(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = grid()
    lines = printed(study, width, monkeypatch, capsys)
    assert [line for line in lines if line.startswith("Side by side")] == [
        "Side by side, max_output_tokens 16: the first has least J/output token",
        "Side by side, max_output_tokens 64: the first has least J/output token",
    ]
    tables = lines[: next(index for index, line in enumerate(lines) if line.startswith("Left out"))]
    assert max(map(len, tables)) <= 80
    assert len(tables) < 100
    assert sum(line.startswith("backend ") and "→" not in line for line in tables) == 10
    assert "Left out here, and in study_result.json (comparisons): 30 more experiments" in lines
    assert "Not compared: max_output_tokens 16 → 64 (20 pairs): other work: max_output_tokens 16 and 64" in lines
    # All of them: each of the other 19 of a workload against its best, and each single change.
    assert len([each for each in study.comparisons if "best" in each.kinds]) == 2 * 19


def test_claim_11_each_change_is_one_row_over_all_experiments_in_which_it_was_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(grid(), 80, monkeypatch, capsys)
    start = lines.index("One change, all else equal: × is after over before")
    rows = [line for line in lines[start:] if "→" in line and not line.startswith("Not")]
    assert [row.split("  ")[0] for row in rows] == [
        "backend pytorch → vllm",
        "precision bf16 → fp16",
        *(f"batch_size 1 → {size}" for size in (2, 4, 8, 16)),
        *(f"max_num_seqs 1 → {size}" for size in (2, 4, 8, 16)),
    ]
    assert re.fullmatch(r"precision bf16 → fp16 +20 +×0\.99\d … ×1\.0\d +×0\.99\d … ×1\.0\d", rows[1])
    assert "20 not distinguishable  20 not distinguishable" in lines[lines.index(rows[1]) + 1]
    assert re.fullmatch(r"batch_size 1 → 16 +4 +×0\.062\d … ×0\.062\d +×1[56]\.\d … ×16\.\d", rows[5])
    assert re.fullmatch(r" +4 less +4 faster", lines[lines.index(rows[5]) + 1])


def test_claim_11_where_the_best_was_written_first_a_change_still_reads_from_the_first_to_the_next() -> None:
    study = study_of(
        *(
            outcomes(name, {"precision": precision, "pytorch.batch_size": size}, [j, j * 1.01], [100, 101])
            for name, precision, size, j in [
                ("a", "bf16", 1, 0.2),
                ("b", "bf16", 8, 0.3),
                ("c", "fp16", 1, 0.4),
                ("d", "fp16", 8, 0.5),
            ]
        )
    )
    *_, changed = comparison_text(study).tables
    ratios = {row[0]: row[2].split("\n")[0] for row in changed.rows}
    assert ratios == {"precision bf16 → fp16": "×1.67 … ×2.00", "batch_size 1 → 8": "×1.25 … ×1.50"}


def test_claim_11_a_pair_that_is_refused_stands_last_and_says_so() -> None:
    longer = {"tokens.output": 12_000, "tokens.total": 14_000}
    study = study_of(
        outcomes("a", {"precision": "bf16"}, LOW),
        outcomes("b", {"precision": "fp16"}, HIGH, changes=longer),
        outcomes("c", {"precision": "fp32"}, HIGH, SLOW),
    )
    text = comparison_text(study)
    (table,) = text.tables
    assert [row[0].split("\n")[0] for row in table.rows] == ["precision bf16", "precision fp32", "precision fp16"]
    assert table.rows[2][1].split("\n")[1] == "not compared"
    assert any(note.startswith("Not compared: precision bf16 → fp16: other tokens: 50 and 60") for note in text.notes)


def test_a_value_of_a_study_cannot_write_to_the_terminal() -> None:
    study = study_of(
        outcomes("a", {"passthrough_kwargs.x": "one\x1b[2J"}, LOW), outcomes("b", {"passthrough_kwargs.x": "b"}, HIGH)
    )
    (table,) = comparison_text(study).tables
    assert table.rows[0][0].startswith("x one\\x1b[2J\n")


def test_comparisons_that_somebody_cut_the_experiments_from_are_left_out() -> None:
    study = grid()
    (first, *_) = study.experiments
    assert comparison_text(study.model_copy(update={"experiments": ()})).tables == ()
    assert comparison_text(study.model_copy(update={"experiments": (first,)})).tables == ()
    nameless = tuple(each.model_copy(update={"swept": {}}) for each in study.experiments)
    assert len(comparison_text(study.model_copy(update={"experiments": nameless})).tables) == 2


def test_a_study_of_one_experiment_has_no_comparison_and_no_table() -> None:
    text = comparison_text(study_of(outcomes("a", {}, LOW)))
    assert (text.tables, text.notes) == ((), ())
