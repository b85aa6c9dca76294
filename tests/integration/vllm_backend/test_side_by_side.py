"""PyTorch and vLLM, the real ones, over the same prompts in one study: the same ids in, the same work out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from llem_process import llem, the_study
from tiny_engine import ENDS_AN_ENGINE

pytestmark = ENDS_AN_ENGINE

N, MOST = 6, 24
STUDY = f"""
model: builtin:tiny-llama
backend: [pytorch, vllm]
device: cpu
precision: fp32
n: {N}
max_input_tokens: 48
max_output_tokens: {MOST}
output_length: fixed
runners: {{pytorch: local, vllm: local}}
vllm: {{engine: {{enforce_eager: true, max_model_len: 256, kv_cache_memory_bytes: 268435456, max_num_seqs: 4}}}}
baseline: {{duration_seconds: 1}}
warmup: {{min_iterations: 2, max_iterations: 2, window_size: 2, thermal_floor_seconds: 0}}
energy: {{min_window_seconds: 0.5}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The study's folder and what was printed. The engines' starts are most of the time: it is run once."""
    folder = tmp_path_factory.mktemp("side-by-side")
    (folder / "s.yaml").write_text(STUDY)
    done = llem("run", "s.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return the_study(folder / "results"), done.stdout


@pytest.fixture(scope="module")
def runs(finished: tuple[Path, str]) -> dict[str, Path]:
    """The folder of each backend's run."""
    found = {result_of(path)["backend"]: path for path in finished[0].glob("runs/*")}
    assert found.keys() == {"pytorch", "vllm"}
    return found


def result_of(run: Path) -> dict[str, Any]:
    """`result.json` of a run."""
    result: dict[str, Any] = json.loads((run / "result.json").read_text())
    return result


def samples_of(run: Path) -> list[dict[str, Any]]:
    """`samples.jsonl` of a run."""
    return [json.loads(line) for line in (run / "out" / "samples.jsonl").read_text().splitlines()]


def test_claim_9_3_both_engines_are_given_as_many_tokens_prompt_by_prompt(runs: dict[str, Path]) -> None:
    given = {backend: [sample["input_tokens"] for sample in samples_of(run)] for backend, run in runs.items()}
    assert given["pytorch"] == given["vllm"]
    assert len(given["vllm"]) == N
    assert max(given["vllm"]) <= 48


def test_claim_9_3_the_results_say_that_both_engines_were_given_the_same_ids(runs: dict[str, Path]) -> None:
    pytorch, vllm = (result_of(run)["prompt_ids_sha256"] for run in runs.values())
    assert pytorch == vllm
    assert re.fullmatch("[0-9a-f]{64}", pytorch)


def test_claim_9_4_with_fixed_length_both_engines_generate_exactly_so_many_tokens_a_request(
    runs: dict[str, Path],
) -> None:
    for run in runs.values():
        result = result_of(run)
        passes = len(result["passes"])
        assert result["tokens"]["output"] == N * MOST * passes
        assert result["requests"] == {"total": N * passes, "completed": N * passes}
        assert {len(sample["output_token_ids"]) for sample in samples_of(run)} == {MOST}


def test_claim_9_4_greedy_answers_of_both_engines_agree_in_fp32(
    finished: tuple[Path, str], runs: dict[str, Path]
) -> None:
    both = zip(samples_of(runs["pytorch"]), samples_of(runs["vllm"]), strict=True)
    pairs = [
        pair for one, other in both for pair in zip(one["output_token_ids"], other["output_token_ids"], strict=True)
    ]
    equal = sum(one == other for one, other in pairs) / len(pairs)
    # Random weights make near ties; a real model's greatest logit stands further above the next.
    assert equal >= 0.9, f"{equal:.1%} of {len(pairs)} tokens are equal"
    study, printed = finished
    [agreement] = json.loads((study / "study_result.json").read_text())["agreement"]
    assert agreement["equal_share"] == pytest.approx(equal)
    assert agreement["tokens"] == N * MOST
    assert f"{agreement['experiment_id']} {100 * equal:.4g} % of {N * MOST}" in printed


def test_claim_9_1_the_result_records_what_vllm_made_of_its_defaults(runs: dict[str, Path]) -> None:
    engine = result_of(runs["vllm"])["environment"]["engine"]
    effective = engine["effective"]
    assert effective["scheduler_config.max_num_seqs"] == 4
    assert effective["model_config.generation_config"] == "vllm"
    assert effective["model_config.dtype"] == "float32"
    assert effective["cache_config.block_size"] > 0
    assert effective["scheduler_config.max_num_batched_tokens"] > 0
    assert effective["generation"]["max_tokens"] == MOST


def test_claim_9_5_the_prefix_cache_is_reset_before_each_pass_and_nothing_comes_from_it(runs: dict[str, Path]) -> None:
    result = result_of(runs["vllm"])
    assert result["tokens"]["cached"] == 0
    checks = {check["name"]: check["passed"] for check in result["quality"]["checks"]}
    assert checks["prefix_cache"] is True


def test_claim_9_6_every_time_of_a_request_is_known(runs: dict[str, Path]) -> None:
    latency = result_of(runs["vllm"])["latency"]
    requests = result_of(runs["vllm"])["requests"]["completed"]
    assert {latency[part]["n"] for part in ("request_s", "queue_s", "ttft_s")} == {requests}
    assert latency["itl_s"]["n"] == requests * (MOST - 1)
    # Four run at once: the last two wait for places, and all of it adds up within a request.
    assert 0 <= latency["queue_s"]["p50"] < latency["ttft_s"]["mean"] < latency["request_s"]["mean"]
    assert latency["queue_s"]["p99"] > latency["itl_s"]["p50"]


def test_claim_9_7_load_is_told_in_the_parts_that_vllm_tells(runs: dict[str, Path]) -> None:
    load_s = result_of(runs["vllm"])["environment"]["engine"]["load_s"]
    assert load_s.keys() >= {"weights_s", "engine_init_s"}
    assert all(seconds >= 0 for seconds in load_s.values())


def test_claim_9_9_saturation_follows_from_the_engines_own_running_requests(runs: dict[str, Path]) -> None:
    checks = {check["name"]: check for check in result_of(runs["vllm"])["quality"]["checks"]}
    # Six requests of equal length, four at a time and then two: full for about half of the time, in percent.
    assert checks["saturation"]["value"] == pytest.approx(50, abs=25)
    assert checks["saturation"]["passed"] is False


def test_claim_11_both_engines_stand_side_by_side_and_after_one_cycle_no_difference_is_named(
    finished: tuple[Path, str],
) -> None:
    study, printed = finished
    (found,) = json.loads((study / "study_result.json").read_text())["comparisons"]
    assert found["changed"].keys() == {"backend"}
    assert set(found["changed"]["backend"]) == {"pytorch", "vllm"}
    assert found["not_compared"] is None
    # No GPU here: the rates are compared, and nothing is made up of the energy.
    assert (found["level"], found["energy_per_output_token"]["verdict"]) == ("D", "not_measured")
    assert found["output_tokens_per_s"]["ratio"] > 0
    assert found["output_tokens_per_s"]["reason"] == "one cycle: no interval"
    shown = printed[printed.index("Side by side: the first has most tokens/s") :]
    assert {"backend pytorch", "backend vllm"} <= {line[:15].rstrip() for line in shown.splitlines()}
    for words in ("n/a", "one cycle:", "no interval", "first ", "next ", "whole "):
        assert words in shown
