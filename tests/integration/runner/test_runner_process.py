"""`python3 -m llem_runner FOLDER` by hand: what it writes, and the exit code that says which."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runner_process import NONCE, error, order, result, run


def test_claim_14_a_run_that_goes_well_writes_one_result_and_exits_0(exchange: Path) -> None:
    order(exchange, {})
    assert run(exchange) == 0
    names = {path.name for path in (exchange / "out").iterdir()}
    assert names == {"events.jsonl", "samples.jsonl", "result.json"}
    done = result(exchange)
    assert (done.nonce, done.run_id, done.attempt) == (NONCE, "abc-c1", 1)
    assert [phase.name for phase in done.phases] == ["idle", "load", "resident", "warmup", "measure", "drain"]
    assert done.window.start_unix_s == done.passes[0].start_unix_s
    assert len(done.passes) == 1


def test_claim_7_phases_follow_each_other_and_the_window_lies_in_measure(exchange: Path) -> None:
    order(exchange, {"energy": {"min_window_seconds": 0.5}})
    assert run(exchange) == 0
    done = result(exchange)
    ends = [phase.end_unix_s for phase in done.phases]
    starts = [phase.start_unix_s for phase in done.phases]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
    [measure] = [phase for phase in done.phases if phase.name == "measure"]
    assert measure.start_unix_s <= done.window.start_unix_s <= done.window.end_unix_s <= measure.end_unix_s
    assert done.window.duration_s >= 0.5
    for one, following in zip(done.passes, done.passes[1:], strict=False):
        assert following.start_unix_s == one.end_unix_s


def test_claim_14_a_synthetic_dataset_is_exact_in_tokens_through_the_whole_run(exchange: Path) -> None:
    order(exchange, {"dataset": {"input_len": 17, "output_len": 5}, "n": 3})
    recipe = {"seed": 42, "input_len": 17, "output_len": 5, "n": 3}
    (exchange / "in" / "prompts.jsonl").write_text(json.dumps(recipe) + "\n")
    assert run(exchange) == 0
    done = result(exchange)
    assert (done.tokens.input, done.tokens.output) == (3 * 17, 3 * 5)


@pytest.mark.parametrize("version", [0, 99])
def test_claim_14_another_contract_version_is_exit_2(exchange: Path, version: int) -> None:
    order(exchange, {}, version=version)
    assert run(exchange) == 2
    report = error(exchange)
    assert report["kind"] == "contract_mismatch"
    assert f"contract version {version}" in report["message"]


@pytest.mark.parametrize("experiment", [{"n": "many"}, {"precision": "fp8"}, {"unknown": 1}])
def test_claim_14_an_unusable_order_is_exit_2(exchange: Path, experiment: dict[str, Any]) -> None:
    order(exchange, experiment)
    assert run(exchange) == 2
    assert error(exchange)["kind"] == "contract_mismatch"


def test_claim_14_no_order_at_all_is_exit_2(exchange: Path) -> None:
    assert run(exchange) == 2
    assert json.loads((exchange / "out" / "error.json").read_text())["kind"] == "contract_mismatch"


def test_claim_14_a_device_that_is_not_there_is_exit_3(exchange: Path) -> None:
    order(exchange, {"device": "cuda"})
    assert run(exchange) == 3
    report = error(exchange)
    assert (report["kind"], report["phase"]) == ("backend", "load")


def test_claim_14_a_model_that_cannot_be_loaded_is_exit_4(exchange: Path) -> None:
    (exchange / "model").mkdir()
    (exchange / "model" / "config.json").write_text('{"model_type": "llama"}')
    order(exchange, {}, model_path=str(exchange / "model"))
    assert run(exchange) == 4
    report = error(exchange)
    assert report["kind"] == "model"
    assert "Traceback" in report["traceback"]


def test_claim_13_a_gpu_that_is_not_visible_here_is_never_measured(exchange: Path, simulated_nvml: Any) -> None:
    from simulated_nvml.board import h100
    from simulated_nvml.settings import Settings

    boards = Settings(boards=(h100(0), h100(1)))
    simulated_nvml.write(boards)
    order(exchange, {}, gpu_uuids=[boards.boards[1].uuid])
    assert run(exchange, **simulated_nvml.env, CUDA_VISIBLE_DEVICES=boards.boards[0].uuid) == 3
    assert "is not visible here" in error(exchange)["message"]


def test_the_runner_runs_on_python_3_10_syntax() -> None:
    import ast

    root = Path(__file__).resolve().parents[3] / "runner"
    for path in root.rglob("*.py"):
        ast.parse(path.read_text(), filename=str(path), feature_version=(3, 10))


def test_claim_7_starting_the_runner_imports_no_engine() -> None:
    code = (
        "import sys, llem_runner.__main__, llem_runner.command_line, llem_runner.run, llem_runner.measure\n"
        "print(sorted(m for m in ('torch', 'transformers', 'numpy', 'codecarbon', 'pandas') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
