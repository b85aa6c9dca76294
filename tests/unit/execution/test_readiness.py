"""The judging checks of a preflight, one by one: GPUs in use, too few of them, models too large, a disk too small."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.checklist import Checklist, Status
from llem.execution.preflight import Inputs
from llem.execution.readiness.folder import check_folder, needed_bytes
from llem.execution.readiness.gpus import check_count, check_driver, check_in_use
from llem.execution.readiness.memory import check_forecast, model_files
from llem.execution.readiness.needs import Needs
from llem.launch.gpu_facts import Driver, GpuFacts, GpuMemory
from llem.launch.gpu_lease import is_leased
from llem.launch.protocol import Place
from llem_runner.contract import ExperimentConfig

GIB = 1 << 30
A, B = "GPU-a", "GPU-b"
BOTH = [Place("localhost", "H100", (A, B))]
LARGE = {
    "model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
    "num_key_value_heads": 8, "intermediate_size": 28672, "vocab_size": 128256, "max_position_embeddings": 131072,
}  # fmt: skip
SMALL = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 128, "vocab_size": 512, "max_position_embeddings": 512,
}  # fmt: skip


def experiment(model: str = "builtin:tiny-llama", **keys: Any) -> ExperimentConfig:
    return ExperimentConfig.model_validate({"model": model, **keys})


def needs(folder: Path, *configs: ExperimentConfig, runs: int = 1) -> Needs:
    experiments = {f"e{number}": config for number, config in enumerate(configs or [experiment()])}
    return Needs(experiments, dict.fromkeys(experiments, runs), Inputs({}, {}, {}), folder, folder / "results")


def model(folder: Path, name: str, config: Mapping[str, Any]) -> str:
    (folder / name).mkdir()
    (folder / name / "config.json").write_text(json.dumps(config))
    return str(folder / name)


def told(checklist: Checklist) -> list[tuple[str, Status]]:
    return [(finding.check, finding.status) for finding in checklist.findings]


def memory(a_gib: float = 0, b_gib: float = 0) -> dict[str, GpuMemory]:
    return {uuid: GpuMemory(80 * GIB, round(gib * GIB)) for uuid, gib in ((A, a_gib), (B, b_gib))}


@pytest.mark.parametrize(
    ("a_gib", "b_gib", "statuses"),
    [(0, 0.2, ["ok"]), (1, 0, ["warning"]), (0, 9, ["failed"]), (7, 40, ["warning", "failed"])],
)
def test_claim_10_7_memory_that_others_use_is_judged_by_how_much_it_is(
    a_gib: float, b_gib: float, statuses: list[Status]
) -> None:
    checklist = Checklist()
    check_in_use(BOTH, memory(a_gib, b_gib), (), checklist, lambda _: False, dict.fromkeys)
    assert [status for _, status in told(checklist)] == statuses


def test_claim_10_7_a_gpu_of_another_llem_is_waited_for_and_our_own_runs_may_still_be_leaving() -> None:
    checklist = Checklist()
    check_in_use(BOTH, memory(40, 40), [A], checklist, lambda uuid: uuid == B, dict.fromkeys)
    assert told(checklist) == [("GPU memory in use", "ok")]


def test_claim_10_7_whether_a_gpu_is_leased_is_seen_from_its_lock(tmp_path: Path) -> None:
    assert not is_leased(A, tmp_path / "nowhere")
    assert not is_leased(A, tmp_path)
    lock = os.open(tmp_path / f"{A}.lock", os.O_RDWR | os.O_CREAT)
    assert not is_leased(A, tmp_path)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert is_leased(A, tmp_path)
    os.close(lock)
    assert not is_leased(A, tmp_path)


def test_claim_10_7_more_gpus_than_there_are_end_it_where_no_experiment_can_run(tmp_path: Path) -> None:
    four = experiment(backend="vllm", vllm={"engine": {"tensor_parallel_size": 4}})
    for configs, status in (([four], "failed"), ([four, experiment()], "warning")):
        checklist = Checklist()
        check_count(needs(tmp_path, *configs), BOTH, checklist)
        assert told(checklist) == [("GPUs", status)]
        assert "4 GPUs of one model are needed, and 2 are there" in checklist.findings[0].message


@pytest.mark.parametrize(
    ("cuda", "needed", "status"),
    [((12, 4), (13, 0), "failed"), ((12, 4), (12, 8), "ok"), (None, (12, 8), "skipped"), ((12, 4), None, "skipped")],
)
def test_claim_10_7_the_driver_is_judged_by_what_the_image_was_built_for(
    tmp_path: Path, cuda: tuple[int, int] | None, needed: tuple[int, int] | None, status: Status
) -> None:
    checklist = Checklist()
    facts = GpuFacts(driver=Driver("550.54.15", cuda), cuda_needed={"pytorch": needed} if needed else {})
    check_driver(needs(tmp_path), facts, checklist)
    assert told(checklist) == [("driver for pytorch", status)]


def test_claim_10_7_a_model_too_large_for_every_experiment_fails_and_for_some_is_a_warning_that_names_them(
    tmp_path: Path,
) -> None:
    large, small = experiment(model(tmp_path, "large", LARGE)), experiment(model(tmp_path, "small", SMALL))
    for configs, statuses in (([large], ["failed"]), ([large, small], ["warning"]), ([small], ["ok"])):
        checklist = Checklist()
        check_forecast(needs(tmp_path, *configs), BOTH, memory(), checklist)
        assert [status for _, status in told(checklist)] == statuses
    two = experiment(large.model, backend="vllm", vllm={"engine": {"tensor_parallel_size": 2, "max_model_len": 8192}})
    checklist = Checklist()
    check_forecast(needs(tmp_path, two), BOTH, memory(), checklist)
    assert told(checklist) == [("GPU memory forecast", "ok")]
    check_forecast(needs(tmp_path, two), BOTH, memory(20), checklist)
    assert checklist.failed
    assert "e0 will not fit" in checklist.findings[1].message


def test_claim_10_7_a_batch_that_may_not_fit_is_a_warning(tmp_path: Path) -> None:
    many = experiment(model(tmp_path, "small", SMALL), n=10**6, pytorch={"batch_size": 10**6})
    checklist = Checklist()
    check_forecast(needs(tmp_path, many), BOTH, memory(), checklist)
    assert told(checklist) == [("GPU memory forecast", "warning")]
    assert "may run out of memory" in checklist.findings[0].message


@pytest.mark.parametrize(
    ("sizes", "counted"),
    [
        ({"model-1.safetensors": 3, "model-2.safetensors": 4, "consolidated.safetensors": 7}, 7),
        ({"consolidated.safetensors": 7}, 7),
        ({"model.safetensors": 5, "pytorch_model.bin": 5}, 5),
        ({"pytorch_model.bin": 6}, 6),
        ({}, 0),
    ],
)
def test_claim_10_7_weights_that_lie_there_twice_are_counted_once(
    tmp_path: Path, sizes: Mapping[str, int], counted: int
) -> None:
    folder = Path(model(tmp_path, "m", SMALL))
    for name, size in sizes.items():
        (folder / name).write_bytes(bytes(size))
    found = model_files(folder)
    assert found is not None
    assert found.weights_bytes == counted


def test_claim_10_7_the_disk_has_to_hold_all_runs_to_come(tmp_path: Path) -> None:
    few, many = needs(tmp_path, runs=1), needs(tmp_path, runs=1000)
    assert needed_bytes(many) == pytest.approx(1000 * needed_bytes(few), rel=0.1)
    checklist = Checklist()
    check_folder(needs(tmp_path, runs=10**9), checklist)
    assert told(checklist) == [("disk of the results", "failed")]
    assert "Make room" in checklist.findings[0].remedy
    check_folder(few, checklist)
    assert not (tmp_path / "results").exists()


def test_claim_10_7_a_folder_where_none_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    checklist = Checklist()
    check_folder(needs(tmp_path), checklist)
    assert checklist.failed
    assert "results is a file" in checklist.findings[0].message
