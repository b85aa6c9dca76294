"""The comparison's core on a few cells: the real recorder, Zeus, CodeCarbon and the poller beside each other."""

from __future__ import annotations

import os
import random
from importlib.util import find_spec
from pathlib import Path

import pytest
from simulated_nvml.fixtures import SimulatedNvml
from tests.bench.accuracy import grid
from tests.bench.accuracy.recording import Bench, Score
from tests.bench.accuracy.rivals import RivalMissing, Rivals
from tests.bench.accuracy.windows import plan

RECORDING_S = 7.0
WINDOWS = {0.5: 3, 1.0: 3}
needs_rivals = pytest.mark.skipif(
    find_spec("zeus") is None or find_spec("codecarbon") is None, reason="zeus and codecarbon are not both installed"
)


@pytest.fixture
def environment(simulated_nvml: SimulatedNvml, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The simulated library in this process's environment, put back afterwards."""
    for name in simulated_nvml.env:
        monkeypatch.setenv(name, os.environ.get(name, ""))
    Bench.prepare(tmp_path)
    return tmp_path


@needs_rivals
def test_claim_7_10_all_tools_measure_all_boards_in_the_same_windows_and_our_bounds_hold(environment: Path) -> None:
    rng = random.Random(5)
    cells = grid.quick_grid(rng)[:8]
    with Rivals(grid.BOARDS_AT_ONCE, list(WINDOWS)) as rivals:
        bench = Bench(environment, rivals, rng)
        scores = bench.record(cells, plan(RECORDING_S, WINDOWS, rng), RECORDING_S)
    judged = [score for score in scores if score.ours is not None]
    assert len(judged) == len(cells) * sum(WINDOWS.values())
    assert [score for score in scores if score.refused] == []
    assert [score for score in judged if not score.holds] == []
    # Each of the others measured every window of every board, too, and all of them real ones.
    for tool in ("zeus", "codecarbon", "trapezoid"):
        found = [score for score in scores if getattr(score, tool) is not None]
        assert len(found) == len(judged), tool
        assert {score.cell for score in found} == set(cells), tool
    steady = [score for score in scores if score.cell.group == "constant"]
    assert max(_error(score) for score in steady) < 1.1


def _error(score: Score) -> float:
    """The largest of the errors of a window; a 500 ms counter may miss all of half a second."""
    return max(score.zeus or 0.0, score.codecarbon or 0.0, score.trapezoid or 0.0, score.ours or 0.0)


def test_claim_7_10_a_tool_that_is_not_installed_is_named(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = environment / "shadow" / "zeus"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ImportError('no such tool here')\n")
    monkeypatch.setenv("PYTHONPATH", str(shadow.parent), prepend=os.pathsep)
    with pytest.raises(RivalMissing, match="zeus is needed"), Rivals(2, [1.0]):
        pass
