"""An engine that hangs: the host's rule of silence ends the run, whatever of the runner still lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from llem_process import Hosts, journal, runner_of, the_study, wait_for_phase
from vllm_processes import engines_of, wait_until_gone

STUDY = """
model: builtin:tiny-llama
backend: vllm
device: cpu
precision: fp32
n: 2
max_output_tokens: 200
output_length: fixed
runners: {vllm: local}
vllm: {engine: {enforce_eager: true, max_model_len: 1024, kv_cache_memory_bytes: 67108864}}
warmup: {min_iterations: 1, max_iterations: 1, window_size: 2}
energy: {min_window_seconds: 600}
execution: {stall_seconds: 15}
"""


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    started = Hosts()
    yield started
    started.close()


def test_an_engine_that_hangs_is_stalled_although_the_runner_lives_and_is_gone_with_the_run(
    hosts: Hosts, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    host = hosts("run", "s.yaml", cwd=tmp_path)
    study = the_study(tmp_path / "results")
    wait_for_phase(study, 1, "measure", patience_s=300)
    engine = engines_of(psutil.Process(runner_of(study).pid))
    for process in engine:
        process.suspend()
    told, _ = host.communicate(timeout=300)
    assert host.returncode == 1, told
    [failed] = [line for line in journal(study) if line["event"] == "run_failed"]
    assert failed["kind"] == "stalled"
    assert "stopped in phase measure" in failed["message"]
    wait_until_gone(engine)
