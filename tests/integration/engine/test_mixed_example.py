"""examples/mixed.yaml as it stands: real PyTorch and real vLLM in containers, the same prompts, simulated GPUs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from docker_engine import REPOSITORY, Engine
from llem_process import LLEM, environment, the_study

from llem_runner.contract import ExperimentResult

CYCLES, PROMPTS, OUTPUT_TOKENS = 3, 4, 24
# Six runs, three of which start a vLLM.
PATIENCE_S = 1500


@dataclass(frozen=True)
class Mixed:
    """The study when it is over: its folder, and what a person saw."""

    folder: Path
    said: str

    @property
    def results(self) -> list[ExperimentResult]:
        """Of its runs, in the order in which they ran."""
        paths = sorted(self.folder.glob("runs/*/result.json"))
        return [ExperimentResult.model_validate_json(path.read_bytes()) for path in paths]

    @property
    def summary(self) -> dict[str, Any]:
        """`study_result.json`."""
        found: dict[str, Any] = json.loads((self.folder / "study_result.json").read_text())
        return found


@pytest.fixture(scope="module")
def mixed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    """`llem run examples/mixed.yaml`, once for all of these tests."""
    parent = tmp_path_factory.mktemp("mixed")
    with engine.gpus.for_one_test():
        done = subprocess.run(
            [LLEM, "run", "examples/mixed.yaml", "-o", str(parent)],
            cwd=REPOSITORY,
            env=environment({"DOCKER_HOST": engine.host}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
        )
    assert done.returncode == 0, done.stdout
    return Mixed(the_study(parent), done.stdout)


def test_claim_9_11_the_mixed_example_runs_both_engines_in_three_shuffled_cycles(mixed: Mixed) -> None:
    order = [(result.cycle, result.backend) for result in mixed.results]
    assert sorted(order) == [(cycle, backend) for cycle in (1, 2, 3) for backend in ("pytorch", "vllm")]
    assert mixed.summary["runs"]["completed"] == 2 * CYCLES
    assert all(result.simulated and result.energy.method == "counter" for result in mixed.results)
    digests = {(result.backend, result.image.digest) for result in mixed.results}
    assert len(digests) == 2, "each engine in an image of its own, the same in every cycle"


def test_claim_9_11_both_engines_of_the_mixed_example_do_the_same_work(mixed: Mixed) -> None:
    for result in mixed.results:
        assert result.tokens.output == PROMPTS * OUTPUT_TOKENS * len(result.passes)
    a_pass = {result.tokens.input / len(result.passes) for result in mixed.results}
    assert len(a_pass) == 1, "the same number of input tokens a pass"


def test_claim_9_5_the_prefix_cache_of_the_mixed_example_is_empty_before_each_pass(mixed: Mixed) -> None:
    for result in mixed.results:
        assert result.tokens.cached == 0
        assert "prefix_cache_not_reset" not in {warning.code for warning in result.warnings}


def test_claim_9_11_the_table_of_the_mixed_example_shows_both_engines_side_by_side(mixed: Mixed) -> None:
    for column in ("backend", "J/output token", "tokens/s", "quality"):
        assert column in mixed.said
    lines = mixed.said.splitlines()
    rows = [
        next(index for index, line in enumerate(lines) if line.split()[1:2] == [name]) for name in ("pytorch", "vllm")
    ]
    assert all(second - first == 1 for first, second in pairwise(sorted(rows)))
