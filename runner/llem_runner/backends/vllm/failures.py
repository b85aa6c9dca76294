"""What vLLM raises, here or in a process of its own → `RunFailed` with a kind and words.

An engine core that fails elsewhere leaves "see root cause above" here; the cause is in `engine_log`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager

from llem_runner.backends.failures import missing_package, out_of_memory, translating
from llem_runner.backends.vllm.engine_log import WORKER_DIED, EngineLog
from llem_runner.backends.vllm.watch import EngineWatch, exit_in_words
from llem_runner.contract import FailureKind, RunFailed
from llem_runner.disk import disk_failure
from llem_runner.workload.model_failure import model_failure_in_words

_NO_CAUSE = re.compile(
    r"[Ss]ee (the )?(root cause|stack trace) (\(?above|for (the )?root cause)|EngineCore encountered an issue"
)
_TOO_LITTLE_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|CU(BLAS|DNN)_STATUS_ALLOC_FAILED"
    r"|less than (desired (GPU|CPU) memory utilization|requested memory)|DefaultCPUAllocator: can't allocate memory"
    r"|[Cc]annot allocate memory",
)
_KV_CACHE_TOO_SMALL = re.compile(
    r"KV cache is needed, which is larger than the available|larger than the maximum number of tokens that can be "
    r"stored in KV cache|No available memory for the cache blocks|max(imum)?[ _](model|seq)[ _]len.*KV cache"
)
_LONGER_THAN_THE_MODEL = re.compile(r"max_model_len \(\d+\) is greater than the derived")
# Not just any word of weights: vLLM's words on precisions and quantisation methods have it, too.
_OF_THE_MODEL = re.compile(
    r"[Aa]rchitecture|model type|config\.json|safetensors|checkpoint|HeaderToo|tokenizer"
    r"|model weights|load(ed|ing)?[ _]weights?|weights? (size|shape)"
)
_OF_THE_DEVICE = re.compile(r"[Bb]float16|float16|[Dd]type|compute capability|not supported (on|by|for) ")
# vLLM's own word where a process ended before it could say why: {'EngineCore': -9}.
_FAILED_PROCESSES = re.compile(r"Failed core proc\(s\): \{'(?P<name>\w+)': (?P<code>-\d+)")
_WHO_KILLS = "Where the kernel ended it for want of the machine's memory, `dmesg` says so; container.log has the rest."
_LINE_CHARACTERS = 400
# By name: an exception of another process is known by its words alone.
_ARGUMENTS = ("ValidationError", "TypeError", "NotImplementedError", "ArgumentError", "AssertionError")


def failing_to_load(model_path: str, log: EngineLog) -> AbstractContextManager[None]:
    """Turn what vLLM raises while it loads into `RunFailed` of kind accelerator_oom, model, backend or disk."""
    return translating(lambda error: load_failure(model_path, error, log.errors()))


def failing_to_generate(log: EngineLog, watch: EngineWatch) -> AbstractContextManager[None]:
    """Turn what vLLM raises while it generates into `RunFailed` of kind accelerator_oom, inference or disk."""
    return translating(lambda error: generation_failure(error, log.errors(), watch.how_it_ended()))


def load_failure(model_path: str, error: Exception, logged: Sequence[tuple[str, str]]) -> RunFailed:
    """`logged`: (type, message) of the exceptions in vLLM's own processes, the first first. Pure."""
    full = disk_failure(error)
    if full is not None:
        return full
    cause, killed = root_cause(error, logged), _FAILED_PROCESSES.search(str(error))
    if cause is None and (killed or logged):
        which = f"{killed['name']} {exit_in_words(int(killed['code']))}" if killed else _silent_end(logged)
        return RunFailed(FailureKind.RUNNER_CRASH, f"vLLM's {which} while it loaded {model_path}. {_WHO_KILLS}")
    name, words = cause or _here(error)
    if _KV_CACHE_TOO_SMALL.search(words):
        return _memory(
            f"The KV cache has no room for one request of full length: {words} Lower vllm.engine.max_model_len, or "
            "give vLLM more memory (vllm.engine.gpu_memory_utilization, vllm.engine.kv_cache_memory_bytes)."
        )
    if out_of_memory(error) or _TOO_LITTLE_MEMORY.search(f"{name}: {words}"):
        return _memory(
            f"Memory was too small while vLLM loaded {model_path}: {words} Free the device, choose a smaller precision "
            "or vllm.engine.max_model_len, or set vllm.engine.gpu_memory_utilization or kv_cache_memory_bytes."
        )
    if _LONGER_THAN_THE_MODEL.search(words):
        return RunFailed(
            FailureKind.BACKEND,
            f"Requests were to be longer than the model allows: {words} Lower vllm.engine.max_model_len.",
        )
    of_the_model = model_failure_in_words("Loading", model_path, name, words)
    if "trust_remote_code" in words:
        return of_the_model
    if isinstance(error, ImportError):
        return missing_package(error)
    refused = _OF_THE_DEVICE.search(words) or name in _ARGUMENTS
    if refused and not _OF_THE_MODEL.search(words):
        return RunFailed(FailureKind.BACKEND, f"vLLM refused what it was asked: {name}: {words}")
    return of_the_model


def generation_failure(error: Exception, logged: Sequence[tuple[str, str]], ended: str | None) -> RunFailed:
    """`logged`: as with `load_failure`; `ended`: which process of the engine ended and how, where one did. Pure."""
    full = disk_failure(error)
    if full is not None:
        return full
    cause = root_cause(error, logged)
    if cause is None:
        which = _silent_end(logged) if logged or ended is None else ended
        return RunFailed(FailureKind.INFERENCE, f"Generating failed: vLLM's {which}. {_WHO_KILLS}")
    name, words = cause
    if out_of_memory(error) or _TOO_LITTLE_MEMORY.search(f"{name}: {words}"):
        return _memory(
            f"Memory was too small while vLLM generated: {words} Lower vllm.engine.max_num_seqs, "
            "max_num_batched_tokens or gpu_memory_utilization, or choose a smaller precision."
        )
    return RunFailed(FailureKind.INFERENCE, f"Generating failed: {name}: {words}")


def root_cause(error: Exception, logged: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    """(type, message in one line) of what went wrong first, wherever that was; None where a process that ended without
    a word was the first. Pure."""
    if _NO_CAUSE.search(str(error)) is None and type(error).__name__ != "EngineDeadError":
        return _here(error)
    first = next(((name, message) for name, message in logged if _NO_CAUSE.search(message) is None), None)
    return None if first is None or first[0] == WORKER_DIED else (first[0], _telling_line(first[1]))


def _here(error: Exception) -> tuple[str, str]:
    return type(error).__name__, _telling_line(str(error))


def _silent_end(logged: Sequence[tuple[str, str]]) -> str:
    which = next((message for name, message in logged if name == WORKER_DIED), "engine")
    return f"{which} ended without a word: it was killed, or it crashed"


def _telling_line(message: str) -> str:
    """The line that says what is wrong: pydantic's first line only counts its errors."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if not lines:
        return "(no message)"
    said = lines[0]
    if len(lines) > 1 and re.match(r"\d+ validation errors? for ", said):
        said = next((line for line in lines if line.startswith(("Value error, ", "Assertion failed, "))), lines[1])
        said = re.sub(r" \[type=.*$", "", said).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    # vLLM names every architecture that it knows.
    return said if len(said) <= _LINE_CHARACTERS else f"{said[:_LINE_CHARACTERS]} …"


def _memory(message: str) -> RunFailed:
    return RunFailed(FailureKind.ACCELERATOR_OOM, message)
