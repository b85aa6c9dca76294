"""What vLLM raises, here or in a process of its own → kind and words."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llem_runner.backends.vllm.engine_log import EngineLog, EngineLogHandler
from llem_runner.backends.vllm.failures import generation_failure, load_failure
from llem_runner.backends.vllm.generation import TokenStamps, request_output
from llem_runner.backends.vllm.statistics import Progress
from llem_runner.contract import FailureKind

TOO_LONG = (
    "To serve at least one request with the models's max seq len (4096), (1.0 GiB KV cache is needed, which is larger "
    "than the available KV cache memory (0.5 GiB)."
)
UNKNOWN_ARCHITECTURE = (
    "1 validation error for ModelConfig\n"
    "  Value error, Model architectures ['X'] are not supported for now. [type=value_error, input_type=ArgsKwargs]"
)
NODE_TOO_FULL = (
    "Available memory on node 0 (2.49/4.0 GiB) on startup is less than desired CPU memory utilization (0.92)"
)
WORKER = "WorkerProc initialization failed due to an exception in a background process. See stack trace for root cause."
NO_BFLOAT16 = "Bfloat16 is only supported on GPUs with compute capability of at least 8.0."
HEADER = "Error while deserializing header: HeaderTooLarge"
DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
ELSEWHERE = RuntimeError("Engine core initialization failed. See root cause above. Failed core proc(s): {}")
KILLED = RuntimeError(
    "Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': -9}"
)
WEIGHT_DTYPE = "torch.float32 is not supported for int4 weight quantization method x. Supported dtypes: [torch.float16]"
SHORT_OF_WEIGHTS = "Following weights were not initialized from checkpoint: {'model.norm.weight'}"


class EngineDeadError(Exception):
    """As vLLM's own is called."""


@pytest.mark.parametrize(
    ("error", "logged", "kind", "says"),
    [
        (ELSEWHERE, [("OutOfMemoryError", "CUDA out of memory. Tried to allocate 2 GiB")], "accelerator_oom", "2 GiB"),
        (ELSEWHERE, [("ValueError", "No available memory for the cache blocks.")], "accelerator_oom", "cache blocks"),
        (ELSEWHERE, [("ValueError", NODE_TOO_FULL), ("Exception", WORKER)], "accelerator_oom", "2.49/4.0 GiB"),
        (
            ELSEWHERE,
            [
                (
                    "ValueError",
                    TOO_LONG,
                )
            ],
            "accelerator_oom",
            "Lower vllm.engine.max_model_len",
        ),
        (
            ELSEWHERE,
            [("SafetensorError", HEADER)],
            "model",
            "HeaderTooLarge",
        ),
        (
            ValueError(UNKNOWN_ARCHITECTURE),
            [],
            "model",
            "ValueError: Model architectures ['X'] are not supported for now.",
        ),
        (
            ValueError(NO_BFLOAT16),
            [],
            "backend",
            "8.0",
        ),
        (TypeError("EngineArgs.__init__() got an unexpected keyword"), [], "backend", "unexpected keyword"),
        (OSError(28, "No space left on device"), [], "disk", ""),
        (ELSEWHERE, [], "model", "Engine core initialization failed"),
        (KILLED, [], "runner_crash", "vLLM's EngineCore was killed by SIGKILL while it loaded /m"),
        (ELSEWHERE, [("Exception", WORKER)], "runner_crash", "ended without a word"),
        (ELSEWHERE, [("WorkerDied", "VllmWorker-0"), ("RuntimeError", "cancelled")], "runner_crash", "VllmWorker-0"),
        (ValueError(WEIGHT_DTYPE), [], "backend", "int4 weight"),
        (ELSEWHERE, [("ValueError", SHORT_OF_WEIGHTS)], "model", "not initialized from checkpoint"),
    ],
)
def test_claim_9_bad_days_a_failure_to_load_has_its_kind_and_names_the_cause_of_the_process_that_failed(
    error: Exception, logged: list[tuple[str, str]], kind: str, says: str
) -> None:
    failed = load_failure("/m", error, logged)
    assert failed.kind is FailureKind(kind)
    assert says in str(failed)


@pytest.mark.parametrize(
    ("error", "logged", "kind", "says"),
    [
        (EngineDeadError(DEAD), [], "inference", "vLLM's EngineCore was killed by SIGKILL. Where the kernel"),
        (EngineDeadError("x"), [("WorkerDied", "VllmWorker-0"), ("RuntimeError", "x")], "inference", "VllmWorker-0"),
        (EngineDeadError("x"), [("OutOfMemoryError", "CUDA out of memory.")], "accelerator_oom", "max_num_seqs"),
        (EngineDeadError("x"), [("KeyError", "'layer'")], "inference", "KeyError: 'layer'"),
        (ValueError("prompt too long"), [], "inference", "prompt too long"),
    ],
)
def test_claim_9_bad_days_a_failure_to_generate_has_its_kind_and_cause(
    error: Exception, logged: list[tuple[str, str]], kind: str, says: str
) -> None:
    failed = generation_failure(error, logged, ended="EngineCore was killed by SIGKILL")
    assert failed.kind is FailureKind(kind)
    assert says in str(failed)


def test_claim_9_7_durations_of_loading_and_exceptions_are_read_from_vllms_own_log_records(tmp_path: Path) -> None:
    log = EngineLog(tmp_path)
    environment: dict[str, str] = {}
    log.configure(environment)
    assert Path(environment["VLLM_LOGGING_CONFIG_PATH"]).is_file()
    logger = logging.Logger("vllm.test")
    logger.addHandler(EngineLogHandler(str(tmp_path / "records.jsonl")))
    logger.info("Loading weights took %.2f seconds", 1.5)
    logger.info("Loading weights took %.2f seconds", 2.5)
    logger.info("Model loading took %s GiB memory and %.6f seconds", "2.1", 3.25)
    logger.info("anything else took %.2f seconds", 9.0)
    try:
        raise ValueError("no such layer")
    except ValueError:
        logger.exception("EngineCore failed to start.")
    assert log.durations() == {"weights_s": 2.5, "model_s": 3.25}
    assert log.errors() == [("ValueError", "no such layer")]
    log.close(environment)
    assert environment == {}


def test_claim_9_7_somebodys_own_logging_of_vllm_stays(tmp_path: Path) -> None:
    environment = {"VLLM_LOGGING_CONFIG_PATH": "/theirs.json"}
    log = EngineLog(tmp_path)
    log.configure(environment)
    log.close(environment)
    assert environment == {"VLLM_LOGGING_CONFIG_PATH": "/theirs.json"}
    assert log.durations() == {}


def test_claim_9_7_the_messages_that_are_looked_for_are_those_of_the_installed_vllm() -> None:
    import vllm

    from llem_runner.backends.vllm.engine_log import _DURATIONS

    # Line breaks inside a message's literal are not looked through: the beginnings are enough.
    folder = Path(vllm.__file__).parent
    text = "".join(
        (folder / name).read_text()
        for name in (
            "model_executor/model_loader/default_loader.py",
            "v1/worker/gpu_model_runner.py",
            "compilation/monitor.py",
            "v1/engine/core.py",
        )
    )
    for message, _, _ in _DURATIONS:
        assert message in text


def finished(tokens: list[int], **stats: float) -> Any:
    """As vLLM gives an answer."""
    metrics = SimpleNamespace(
        **{"queued_ts": 10.1, "scheduled_ts": 10.5, "first_token_ts": 11.0, "last_token_ts": 13.0},
        **{"num_generation_tokens": len(tokens), "num_preemptions": 0, **stats},
    )
    return SimpleNamespace(
        request_id="0",
        outputs=[SimpleNamespace(token_ids=tokens)],
        prompt_token_ids=[1, 2, 3],
        num_cached_tokens=2,
        metrics=metrics,
    )


def state(tokens: int, at_s: float, preemptions: int = 0) -> Any:
    """As vLLM keeps a running request."""
    stats = SimpleNamespace(
        num_generation_tokens=tokens, last_token_ts=at_s, num_preemptions=preemptions, scheduled_ts=10.5
    )
    return SimpleNamespace(external_req_id="0", stats=stats)


def test_claim_9_6_times_of_a_request_are_the_engines_own() -> None:
    stamps = TokenStamps()
    stamps.look([state(0, 0.0)])
    stamps.look([state(1, 11.0)])
    stamps.look([state(1, 11.0)])
    stamps.look([state(2, 12.0)])
    request = request_output(finished([5, 6, 7]), 10.0, stamps)
    assert (request.started_s, request.queued_s, request.first_token_s, request.finished_s) == (10.0, 0.5, 11.0, 13.0)
    assert request.token_times_s == (11.0, 12.0, 13.0)
    assert request.paused_s == ()
    assert (request.token_ids, request.input_tokens, request.cached_tokens) == ((5, 6, 7), 3, 2)


def test_claim_9_6_tokens_that_came_together_have_no_times_between_them() -> None:
    stamps = TokenStamps()
    stamps.look([state(3, 11.0)])
    assert request_output(finished([5, 6, 7, 8]), 10.0, stamps).token_times_s == ()


def test_claim_9_6_a_preempted_request_pauses_from_its_last_token_to_the_next() -> None:
    stamps = TokenStamps()
    stamps.look([state(1, 11.5, preemptions=1)])
    stamps.look([state(2, 12.0, preemptions=1)])
    request = request_output(finished([5, 6, 7], num_preemptions=2), 10.0, stamps)
    assert request.paused_s == ((10.5, 11.5), (12.0, 13.0))


def test_claim_9_6_of_several_answers_to_one_request_all_tokens_count_and_it_ends_with_the_last() -> None:
    output = finished([5, 6])
    output.outputs.append(SimpleNamespace(token_ids=[7]))
    request = request_output(output, 10.0, TokenStamps())
    assert request.token_ids == (5, 6, 7)
    assert request.finished_s == 13.0
    assert (request.first_token_s, request.queued_s, request.token_times_s) == (None, None, ())


def test_claim_9_6_progress_is_told_as_the_engine_counts_it() -> None:
    told: list[int] = []
    progress = Progress()
    step = SimpleNamespace(num_generation_tokens=3, num_preempted_reqs=1)
    progress.record(scheduler_stats=None, iteration_stats=step)
    progress.on_tokens = told.append
    progress.record(scheduler_stats=None, iteration_stats=step)
    progress.record(scheduler_stats=None, iteration_stats=None)
    assert told == [3]
    assert progress.preemptions == 2
