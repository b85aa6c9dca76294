"""The order in which the procedure asks things of an engine: what lies between which marks.

The engine is a double that writes down what is asked of it; the procedure is the real one.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llem_runner import measure as procedure
from llem_runner.backends.protocol import BackendFacts, PeakMemory, RequestOutput
from llem_runner.contract import (
    CONTRACT_VERSION,
    Allocation,
    ExchangeFolder,
    ExperimentResult,
    FailureKind,
    RunFailed,
    RunOrder,
)
from llem_runner.event_log import EventLog
from llem_runner.lifeline import StopRequest
from llem_runner.marks import Marks
from llem_runner.power import host

CPU = Allocation(host="h", gpu_uuids=(), model_path="builtin:tiny-llama")


class Engine:
    """Writes down each call with the phase in which it came; answers `tokens` tokens a prompt."""

    def __init__(self, marks: Callable[[], Marks], cached: int | None = 0, reset: bool = True) -> None:
        self.calls: list[tuple[str, str]] = []
        self.prompts: list[list[Sequence[int]]] = []
        self.generated: list[tuple[float, float]] = []
        self._marks = marks
        self._cached = cached
        self._reset = reset

    def _note(self, call: str) -> None:
        self.calls.append((self._marks().phase_in_hand or "", call))

    def within(self, phase: str) -> list[str]:
        return [call for name, call in self.calls if name == phase]

    def load(self, *arguments: Any) -> None:
        self._note("load")

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[index] * 4 for index, _ in enumerate(texts)]

    def vocabulary(self) -> list[int]:
        return [1, 2, 3]

    def decode(self, token_ids: Sequence[int]) -> str:
        return "words"

    def batch_limit(self) -> int:
        return 2

    def generate(self, prompts: Sequence[Sequence[int]], on_tokens: Callable[[int], None]) -> list[RequestOutput]:
        self._note("generate")
        self.prompts.append(list(prompts))
        start_s = time.monotonic()
        on_tokens(3 * len(prompts))
        self.generated.append((start_s, time.monotonic()))
        return [RequestOutput((1, 2, 3), 4, start_s, time.monotonic(), cached_tokens=self._cached) for _ in prompts]

    def compiled_graphs(self) -> None:
        return None

    def reset_prefix_cache(self) -> bool:
        self._note("reset")
        return self._reset

    def synchronize(self) -> None:
        self._note("synchronize")

    def reset_peak_memory(self) -> None:
        self._note("peak")

    def peak_memory(self) -> PeakMemory:
        return PeakMemory()

    def facts(self) -> BackendFacts:
        return BackendFacts(name="double", version="0", device_used="cpu", effective={}, packages={})

    def unload(self) -> None:
        """Nothing is held."""


def measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experiment: dict[str, Any], **engine: Any
) -> tuple[Engine, ExperimentResult, Marks]:
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    exchange = ExchangeFolder(tmp_path)
    exchange.prompts.write_text("".join(json.dumps({"text": f"prompt {n}"}) + "\n" for n in range(5)))
    config = {"model": "builtin:tiny-llama", "n": 5, "pytorch": {"batch_size": 2}, **experiment}
    order = RunOrder.model_validate(
        {"contract_version": CONTRACT_VERSION, "run_id": "a-c1", "attempt": 1, "nonce": "n" * 32, "experiment": config}
    )
    with closing(EventLog(exchange.events)) as events:
        marks = Marks(events.phase)
        double = Engine(lambda: marks, **engine)
        monkeypatch.setattr(procedure, "open_backend", lambda name: double)
        # Finding the host's hardware takes seconds, and nothing here is about its energy.
        monkeypatch.setattr(host, "CHILD_ARGUMENTS", ["-c", ""])
        result = procedure.measure(order, CPU, exchange, events, marks, StopRequest())
    return double, result, marks


NO_WINDOW = {"energy": {"min_window_seconds": 0}}
THREE_PASSES = ["reset", "generate", "synchronize"] * 3


def test_claim_8_2_the_warmup_is_the_first_full_batch_again_and_again_at_full_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, result, _ = measured(
        tmp_path, monkeypatch, {**NO_WINDOW, "warmup": {"convergence_detection": False, "n_warmup": 3}}
    )
    assert engine.within("warmup") == THREE_PASSES
    assert engine.prompts[:3] == [[[0] * 4, [1] * 4]] * 3
    assert engine.prompts[3:] == [[[n] * 4 for n in range(5)]]
    assert result.warmup.iterations == 3


def test_claim_8_2_nothing_idles_between_warmup_and_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[str] = []
    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (slept.append("!"), real(seconds))[1])
    experiment = {**NO_WINDOW, "warmup": {"convergence_detection": False, "n_warmup": 1}}
    engine, _, marks = measured(tmp_path, monkeypatch, experiment)
    assert list(marks.phases) == ["idle", "load", "resident", "warmup", "measure", "drain"]
    # What is asked between the last batch of the warm-up and the first of the window takes no time of its own.
    asked = [call for _, call in engine.calls]
    last_batch = asked.index("generate")
    assert asked[last_batch : last_batch + 6] == ["generate", "synchronize", "peak", "reset", "synchronize", "generate"]
    assert slept == []


def test_claim_8_3_the_prefix_cache_is_reset_before_every_pass_and_every_pass_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) * 0.25)
    experiment = {"warmup": {"enabled": False}, "energy": {"min_window_seconds": 4}}
    engine, result, _ = measured(tmp_path, monkeypatch, experiment)
    asked = engine.within("measure")
    assert len(result.passes) > 1
    first, rest = asked[:5], asked[5:]
    assert first == ["peak", "reset", "synchronize", "generate", "synchronize"]
    assert rest == ["reset", "generate", "synchronize"] * (len(result.passes) - 1)
    assert all(len(prompts) == 5 for prompts in engine.prompts)
    assert [one.output_tokens for one in result.passes] == [15] * len(result.passes)
    assert result.tokens.output == 15 * len(result.passes)
    assert result.requests.completed == 5 * len(result.passes)
    assert result.window.duration_s >= 4
    assert result.passes[0].start_unix_s == result.window.start_unix_s
    assert result.passes[-1].end_unix_s == result.window.end_unix_s
    for earlier, later in itertools.pairwise(result.passes):
        assert earlier.end_unix_s == later.start_unix_s
    assert result.passes_spread is not None
    assert result.passes_spread.n == len(result.passes)
    assert result.passes_spread.energy_per_output_token_cv is None


@pytest.mark.parametrize(("cached", "total", "passed"), [(0, 0, True), (2, 10, False), (None, None, None)])
def test_claim_8_3_tokens_from_a_cache_across_passes_are_reported_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: int | None, total: int | None, passed: bool | None
) -> None:
    _, result, _ = measured(tmp_path, monkeypatch, {**NO_WINDOW, "warmup": {"enabled": False}}, cached=cached)
    assert result.tokens.cached == total
    [check] = [check for check in result.quality.checks if check.name == "prefix_cache"]
    assert (check.passed, check.value) == (passed, total)
    assert result.passes_spread is None


def test_claim_8_3_a_cache_that_is_not_reset_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, result, _ = measured(tmp_path, monkeypatch, {**NO_WINDOW, "warmup": {"enabled": False}}, reset=False)
    assert "prefix_cache_not_reset" in {warning.code for warning in result.warnings}


def test_claim_8_4_the_device_is_synchronised_at_both_marks_of_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks_s: list[float] = []
    synchronised_s: list[float] = []
    real = Engine.synchronize

    def synchronize(engine: Engine) -> None:
        real(engine)
        if engine.calls[-1][0] == "measure":
            synchronised_s.append(time.monotonic())

    monkeypatch.setattr(Engine, "synchronize", synchronize)
    engine, _, marks = measured(tmp_path, monkeypatch, {**NO_WINDOW, "warmup": {"enabled": False}})
    window = marks.phases["measure"]
    generated = engine.generated[-1]
    marks_s += [window.start_s, synchronised_s[0], *generated, synchronised_s[1], window.end_s]
    assert len(synchronised_s) == 2
    assert marks_s == sorted(marks_s)


def test_claim_8_13_a_run_of_fewer_prompts_than_a_batch_and_of_a_short_window_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "batch_limit", lambda engine: 8)
    _, result, _ = measured(tmp_path, monkeypatch, {**NO_WINDOW, "warmup": {"enabled": False}})
    assert {"window_short", "batch_not_filled"} <= {warning.code for warning in result.warnings}


def test_claim_8_zero_output_tokens_are_a_result_without_energy_per_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(engine: Engine, prompts: Sequence[Sequence[int]], on_tokens: Callable[[int], None]) -> Any:
        start_s = time.monotonic()
        return [RequestOutput((), 4, start_s, time.monotonic(), cached_tokens=0) for _ in prompts]

    monkeypatch.setattr(Engine, "generate", silent)
    experiment = {**NO_WINDOW, "warmup": {"convergence_detection": False, "n_warmup": 2}}
    _, result, _ = measured(tmp_path, monkeypatch, experiment)
    assert (result.tokens.output, result.tokens.input, result.requests.completed) == (0, 20, 5)
    assert result.energy.per_output_token_j is None
    assert result.throughput.output_tokens_per_s == 0


@pytest.mark.parametrize(("dies_at", "phase"), [(0, "warmup"), (1, "warmup"), (2, "measure"), (3, "measure")], ids=str)
def test_claim_8_an_engine_that_dies_in_the_warmup_or_half_way_through_the_passes_ends_the_run_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int, phase: str
) -> None:
    calls = itertools.count()
    real = Engine.generate

    def dying(engine: Engine, *arguments: Any) -> Any:
        if next(calls) == dies_at:
            raise RunFailed(FailureKind.INFERENCE, f"died in {engine._marks().phase_in_hand}")
        return real(engine, *arguments)

    monkeypatch.setattr(Engine, "generate", dying)
    experiment = {"warmup": {"convergence_detection": False, "n_warmup": 2}, "energy": {"min_window_seconds": 600}}
    with pytest.raises(RunFailed, match=f"died in {phase}"):
        measured(tmp_path, monkeypatch, experiment)
    assert not list((tmp_path / "out").glob("result.json"))
