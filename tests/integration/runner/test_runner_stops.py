"""SIGTERM at any moment of a run: exit 8, one report, and it says that the run was stopped."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from runner_process import error, order, result, run, start, wait_for_phase

ENDLESS = {"energy": {"min_window_seconds": 600}, "max_output_tokens": 200}
ENDLESS_WARMUP = {**ENDLESS, "warmup": {"max_iterations": 10**6, "cv_threshold": 1e-9}}


def stop_in(exchange: Path, phase: str, experiment: Mapping[str, Any], after_s: float) -> int:
    order(exchange, experiment)
    with start(exchange) as process:
        try:
            wait_for_phase(exchange, phase)
            # Anywhere within what the phase does: the moment makes no difference.
            time.sleep(after_s)
            process.send_signal(signal.SIGTERM)
            return process.wait(60)
        finally:
            process.kill()


@pytest.mark.parametrize("after_s", [0.0, 0.15, 0.5, 1.3])
def test_claim_14_a_stop_while_the_engine_is_imported_or_the_model_loaded_is_a_stop(
    exchange: Path, after_s: float
) -> None:
    assert stop_in(exchange, "load", ENDLESS, after_s) == 8
    report = error(exchange)
    assert report["kind"] == "interrupted"
    assert "SIGTERM" in report["message"]


@pytest.mark.parametrize(("phase", "experiment"), [("warmup", ENDLESS_WARMUP), ("measure", ENDLESS)])
def test_claim_14_a_stop_while_tokens_are_made_is_a_stop_in_that_phase(
    exchange: Path, phase: str, experiment: Mapping[str, Any]
) -> None:
    assert stop_in(exchange, phase, experiment, 0.3) == 8
    report = error(exchange)
    assert (report["kind"], report["phase"]) == ("interrupted", phase)


def test_claim_14_a_stop_that_a_compiler_makes_its_own_error_of_is_still_a_stop(exchange: Path) -> None:
    compiled = {**ENDLESS_WARMUP, "pytorch": {"torch_compile": True, "torch_compile_backend": "eager"}}
    assert stop_in(exchange, "warmup", compiled, 0.4) == 8
    assert error(exchange)["kind"] == "interrupted"


def test_claim_14_a_second_stop_does_not_disturb_the_report_of_the_first(exchange: Path) -> None:
    order(exchange, ENDLESS)
    with start(exchange) as process:
        try:
            wait_for_phase(exchange, "measure")
            while process.poll() is None:
                process.send_signal(signal.SIGTERM)
                time.sleep(0.002)
            assert process.returncode == 8
        finally:
            process.kill()
    assert error(exchange)["kind"] == "interrupted"


def test_a_stop_before_the_order_is_read_is_a_stop_too(exchange: Path) -> None:
    # The lifeline, cut from the start, stops the run as early as anything can.
    order(exchange, ENDLESS)
    assert run(exchange, LLEM_LIFELINE="stdin") == 8
    assert json.loads((exchange / "out" / "error.json").read_text())["kind"] == "interrupted"


def test_claim_14_a_run_has_one_outcome_however_late_the_stop(exchange: Path) -> None:
    order(exchange, {})
    with start(exchange) as process:
        try:
            wait_for_phase(exchange, "drain")
            process.send_signal(signal.SIGTERM)
            code = process.wait(60)
        finally:
            process.kill()
    if code == 0:
        result(exchange)
        assert not (exchange / "out" / "error.json").exists()
    else:
        assert code == 8
        assert error(exchange)["kind"] == "interrupted"
