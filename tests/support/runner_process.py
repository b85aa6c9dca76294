"""The real runner as a process of its own: what it is given, what it tells, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llem_runner.contract import CONTRACT_VERSION, ExperimentResult
from llem_runner.contract.events import EVENT, Event, PhaseEvent

NONCE = "n" * 32
FAST = {"warmup": {"enabled": False}, "energy": {"min_window_seconds": 0}, "n": 2, "max_output_tokens": 3}


def order(exchange: Path, experiment: Mapping[str, Any], version: int = CONTRACT_VERSION, **allocation: Any) -> None:
    experiment = {"model": "builtin:tiny-llama", "precision": "fp32", **FAST, **experiment}
    content = {
        "contract_version": version,
        "run_id": "abc-c1",
        "attempt": 1,
        "nonce": NONCE,
        "experiment": experiment,
    }
    (exchange / "in" / "experiment.json").write_text(json.dumps(content))
    (exchange / "in" / "allocation.json").write_text(
        json.dumps({"host": "h", "model_path": experiment["model"], **allocation})
    )
    (exchange / "in" / "prompts.jsonl").write_text('{"text": "Hello there"}\n{"text": "Name a planet."}\n')


def start(exchange: Path, **environment: str) -> subprocess.Popen[bytes]:
    """The runner, on its own. On the CPU, if the environment says nothing else."""
    command = [sys.executable, "-m", "llem_runner", str(exchange)]
    variables = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", **environment}
    return subprocess.Popen(
        command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def run(exchange: Path, **environment: str) -> int:
    """The runner to its end; its exit code."""
    with start(exchange, **environment) as process:
        try:
            return process.wait(300)
        finally:
            process.kill()


def events(exchange: Path) -> list[Event]:
    """What it has told so far; a line that is being written is left out."""
    path = exchange / "out" / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [EVENT.validate_json(line) for line in lines if line.endswith("\n")]


def wait_for_phase(exchange: Path, name: str, limit_s: float = 120.0) -> None:
    """Until the phase has begun."""
    deadline_s = time.monotonic() + limit_s
    while not any(isinstance(event, PhaseEvent) and event.name == name for event in events(exchange)):
        assert time.monotonic() < deadline_s, f"phase {name} never began"
        time.sleep(0.005)


def result(exchange: Path) -> ExperimentResult:
    """The result of a run that went well."""
    return ExperimentResult.model_validate_json((exchange / "out" / "result.json").read_bytes())


def error(exchange: Path) -> dict[str, Any]:
    """The report, which must be the only outcome."""
    assert not (exchange / "out" / "result.json").exists()
    report: dict[str, Any] = json.loads((exchange / "out" / "error.json").read_text())
    assert report["nonce"] == NONCE
    return report
