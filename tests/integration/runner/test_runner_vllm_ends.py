"""A runner with vLLM that ends badly: what it reports, and that no process of the engine outlives it.

Three runners start at the same time: their imports are most of what this takes.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from runner_process import error, order, start, wait_for_phase
from vllm_processes import engines_of, wait_until_gone

PATIENCE_S = 300.0
ENDLESS = {
    "backend": "vllm",
    "device": "cpu",
    # As vLLM loads it: there is nothing to be read.
    "weights": "dummy",
    "energy": {"min_window_seconds": 600},
    "max_output_tokens": 200,
    "output_length": "fixed",
    "vllm": {"engine": {"enforce_eager": True, "max_model_len": 512, "kv_cache_memory_bytes": 2**26}},
}


@dataclass(frozen=True)
class Running:
    """A runner in phase measure, its folder, and the engine's processes below it."""

    exchange: Path
    process: subprocess.Popen[bytes]
    engine: list[psutil.Process]

    def of_the_engine(self, name: str) -> psutil.Process:
        [found] = [process for process in self.engine if process.name() == name]
        return found


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    """Three of them: a test takes one for itself."""
    with ExitStack() as killed_at_the_end:
        started = []
        for _ in range(3):
            exchange = tmp_path_factory.mktemp("exchange")
            (exchange / "in").mkdir()
            (exchange / "out").mkdir()
            order(exchange, ENDLESS)
            process = killed_at_the_end.enter_context(start(exchange))
            killed_at_the_end.callback(process.kill)
            started.append((exchange, process))
        running = []
        for exchange, process in started:
            wait_for_phase(exchange, "measure", PATIENCE_S)
            running.append(Running(exchange, process, engines_of(psutil.Process(process.pid))))
        yield running


def test_claim_7_a_stopped_runner_reports_it_and_leaves_no_process_of_the_engine(runners: list[Running]) -> None:
    running = runners[0]
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE_S) == 8
    wait_until_gone(running.engine)
    assert error(running.exchange)["kind"] == "interrupted"


def test_claim_7_a_killed_runner_leaves_no_process_of_the_engine(runners: list[Running]) -> None:
    running = runners[1]
    running.process.kill()
    assert running.process.wait(PATIENCE_S) == -signal.SIGKILL
    wait_until_gone(running.engine)


def test_claim_7_an_engine_that_is_killed_while_it_generates_is_kind_inference_and_nothing_is_left(
    runners: list[Running],
) -> None:
    running = runners[2]
    running.of_the_engine("VLLM::EngineCore").kill()
    assert running.process.wait(PATIENCE_S) == 7
    wait_until_gone(running.engine)
    report = error(running.exchange)
    assert (report["kind"], report["phase"]) == ("inference", "measure")
    assert "EngineCore was killed by SIGKILL" in report["message"]
    assert "dmesg" in report["message"]
