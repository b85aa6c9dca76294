"""Valid results for tests, and study folders that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem_runner.contract import CONTRACT_VERSION, ExperimentResult

NONCE = "0123456789abcdef"
EXPERIMENT_ID = "0a1b2c3d4e5f"
START_S = 1_760_000_000.0


def result_record(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A valid `result.json` as plain data. `changes` are dotted paths (`energy.devices.0.total_j`) to new values."""
    record: dict[str, Any] = {
        "schema_version": 1,
        "contract_version": CONTRACT_VERSION,
        "run_id": f"{EXPERIMENT_ID}-c1",
        "experiment_id": None,
        "attempt": 1,
        "nonce": NONCE,
        "cycle": None,
        "simulated": False,
        "backend": "pytorch",
        "backend_version": "5.16.1",
        "device": {"requested": "auto", "used": "cuda:0"},
        "experiment": {"model": "builtin:tiny-llama", "pytorch": {"batch_size": 4}},
        "window": {"start_unix_s": START_S, "end_unix_s": START_S + 40, "duration_s": 40.0},
        "passes": [
            {"start_unix_s": START_S, "end_unix_s": START_S + 20, "energy_j": 4000.0, "output_tokens": 5000},
            {"start_unix_s": START_S + 20, "end_unix_s": START_S + 40, "energy_j": 4000.0, "output_tokens": 5000},
        ],
        "tokens": {"input": 2000, "output": 10_000, "total": 12_000, "cached": None},
        "requests": {"total": 200, "completed": 200},
        "energy": _energy(),
        "host_energy": {"cpu_j": None, "dram_j": None, "source": "none", "estimated": False},
        "recorder": {"period_s": 0.047, "jitter_p50_s": 0.0001, "jitter_p99_s": 0.001, "largest_gap_s": 0.05},
        "throughput": {"output_tokens_per_s": 250.0, "total_tokens_per_s": 300.0, "requests_per_s": 5.0},
        "latency": {
            "request_s": {"mean": 0.5, "p50": 0.5, "p90": 0.6, "p95": 0.7, "p99": 0.8, "n": 200},
            "queue_s": None,
            "ttft_s": None,
            "itl_s": None,
        },
        "compute": {"parameters": 1000, "flops_total": 1e9, "flops_per_output_token": 1e5, "method": "2N + attention"},
        "memory": {"peak_device_bytes": 1_000_000, "peak_allocated_bytes": None, "model_bytes": 4000},
        "phases": [
            {"name": "load", "start_unix_s": START_S - 20, "end_unix_s": START_S - 10, "energy_j": 900.0},
            {"name": "measure", "start_unix_s": START_S, "end_unix_s": START_S + 40, "energy_j": 8000.0},
        ],
        "warmup": {"iterations": 5, "converged": True, "cv": 0.01, "duration_s": 8.0},
        "thermal": {"start_c": 45.0, "max_c": 60.0, "throttled": False, "reasons": ["sw_power_cap"]},
        "quality": {"level": "B", "checks": [{"name": "window_length", "passed": True, "value": 40.0, "limit": 10.0}]},
        "image": {"name": None, "digest": None},
        "environment": {"python": "3.11.7", "gpu": {"driver": "580.65"}},
        "warnings": [],
    }
    for path, value in (changes or {}).items():
        put(record, path, value)
    return record


def result(changes: Mapping[str, Any] | None = None) -> ExperimentResult:
    """A valid result, changed."""
    return ExperimentResult.model_validate(result_record(changes))


def cycles(values_j: Sequence[float], changes: Mapping[str, Any] | None = None) -> list[ExperimentResult]:
    """The results of one experiment's cycles that differ in J/output token, completed by the host."""
    return [
        result(
            {
                "run_id": f"{EXPERIMENT_ID}-c{cycle}",
                "experiment_id": EXPERIMENT_ID,
                "cycle": cycle,
                "energy.per_output_token_j": value_j,
                **(changes or {}),
            }
        )
        for cycle, value_j in enumerate(values_j, start=1)
    ]


def put(record: dict[str, Any], path: str, value: Any) -> None:
    """Set a dotted path; a number is an index into a list."""
    *way, last = path.split(".")
    place: Any = record
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value


def write_run(root: Path, sequence: int, run: ExperimentResult) -> Path:
    """`runs/<sequence>-<run_id>/result.json` of a completed run; its folder."""
    folder = root / "runs" / f"{sequence:04d}-{run.run_id}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(run.model_dump_json(), encoding="utf-8")
    return folder


def write_study(root: Path, runs: Sequence[tuple[str, int]], events: Sequence[Mapping[str, Any]] = ()) -> None:
    """`plan.jsonl` of (experiment_id, cycle) and a journal that begins with `study_started`, `events` following."""
    root.mkdir(parents=True, exist_ok=True)
    plan = [
        {
            "sequence": sequence,
            "run_id": f"{experiment_id}-c{cycle}",
            "experiment_id": experiment_id,
            "cycle": cycle,
            "experiment": {"model": "builtin:tiny-llama"},
            "swept": {"pytorch.batch_size": 4},
        }
        for sequence, (experiment_id, cycle) in enumerate(runs, start=1)
    ]
    started = {"event": "study_started", "name": "night", "design_hash": "d" * 12, "started_unix_s": START_S}
    journal = [{"seq": seq, "unix_s": START_S + seq, **event} for seq, event in enumerate([started, *events], start=1)]
    for name, lines in (("plan.jsonl", plan), ("journal.jsonl", journal)):
        (root / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _energy() -> dict[str, Any]:
    device = {
        "uuid": "GPU-1111",
        "index": 0,
        "name": "NVIDIA H100 80GB HBM3",
        "total_j": 8000.0,
        "lower_j": 7960.0,
        "upper_j": 8040.0,
        "mean_power_w": 200.0,
        "peak_power_w": 310.0,
        "counter_steps": 400,
        "power_limit_w": 700.0,
    }
    return {
        "source": "nvml",
        "method": "counter",
        "total_j": 8000.0,
        "lower_j": 7960.0,
        "upper_j": 8040.0,
        "systematic_percent": 5.0,
        "lag_ms": 15.0,
        "cross_check_j": 8010.0,
        "idle_power_w": 70.0,
        "resident_power_w": 120.0,
        "adjusted_j": 5200.0,
        "above_resident_j": 3200.0,
        "per_output_token_j": 0.8,
        "per_total_token_j": 0.6667,
        "per_request_j": 40.0,
        "devices": [device],
    }
