"""One real vLLM engine, asked in every way that a study can ask it, and gone at its end.

Its KV cache is too small for four long requests: they are preempted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiny_engine import ENDS_AN_ENGINE, MOST, experiment, make_adapter
from vllm_processes import engines_of, wait_until_gone

from llem_runner.backends.protocol import RequestOutput
from llem_runner.backends.registry import open_backend
from llem_runner.backends.vllm.backend import VllmBackend
from llem_runner.backends.vllm.sampling import beam_arguments, sampling_arguments
from llem_runner.lifeline import Stopped
from llem_runner.metrics.saturation import saturated_share

pytestmark = ENDS_AN_ENGINE

ENGINE = {"kv_cache_memory_bytes": 3 * 2**19}
PASSTHROUGH = {"long_prefill_token_threshold": 128}
Ask = Callable[..., list[RequestOutput]]


@pytest.fixture(scope="module")
def adapter(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_adapter(folder, tmp_path_factory.mktemp("adapters") / "lora")


@pytest.fixture(scope="module")
def backend(folder: Path, adapter: Path) -> Iterator[VllmBackend]:
    backend = open_backend("vllm")
    assert isinstance(backend, VllmBackend)
    config = experiment(
        folder, ENGINE, lora={"adapter_path": "a"}, revision="main", random_seed=7, passthrough_kwargs=PASSTHROUGH
    )
    try:
        backend.load(config, str(folder), str(adapter), 0)
        yield backend
    finally:
        backend.unload()


@pytest.fixture
def prompts(backend: VllmBackend) -> list[list[int]]:
    """Four prompts, none the beginning of another."""
    ids = backend.vocabulary()
    return [ids[9 * index : 9 * index + 20] for index in range(4)]


@pytest.fixture
def ask(backend: VllmBackend, folder: Path) -> Ask:
    """Answers by the one engine, as an experiment with other keys asks it: only what goes with a request may differ."""
    import vllm

    def _ask(
        prompts: Sequence[Sequence[int]],
        on_tokens: Callable[[int], None] = lambda _new: None,
        passthrough: dict[str, Any] | None = None,
        plain: bool = False,
        **keys: Any,
    ) -> list[RequestOutput]:
        loaded = backend._loaded
        assert loaded is not None
        config = experiment(folder, ENGINE, **keys)
        beams = beam_arguments(config, vllm.sampling_params.BeamSearchParams.__struct_fields__, vllm.__version__)
        generator = dataclasses.replace(
            loaded.generator,
            sampling_params=vllm.SamplingParams(**sampling_arguments(config, [], passthrough or {})),
            beam_params=vllm.sampling_params.BeamSearchParams(**beams) if beams else None,
            lora_request=None if plain else loaded.generator.lora_request,
        )
        backend.reset_prefix_cache()
        return generator.answer(prompts, on_tokens)

    return _ask


def tokens(outputs: Sequence[RequestOutput]) -> list[tuple[int, ...]]:
    return [output.token_ids for output in outputs]


def test_claim_8_a_lora_adapter_changes_what_the_model_says_and_is_in_the_facts(
    ask: Ask, backend: VllmBackend, prompts: list[list[int]], adapter: Path
) -> None:
    assert tokens(ask(prompts)) != tokens(ask(prompts, plain=True))
    facts = backend.facts()
    assert facts.arithmetic is not None
    assert facts.arithmetic.adapter_elements == 2 * (4 * (256 + 256) + 4 * (256 + 128))
    assert facts.model is not None
    assert {file["name"] for file in facts.model["adapter"]["files"]} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_claim_8_seed_revision_and_passed_through_arguments_arrive_in_the_engine(backend: VllmBackend) -> None:
    facts, loaded = backend.facts(), backend._loaded
    assert loaded is not None
    assert facts.effective["model_config.seed"] == 7
    assert facts.model is not None
    assert facts.model["revision"] == "main"
    assert loaded.engine.vllm_config.model_config.revision == "main"
    assert loaded.engine.vllm_config.scheduler_config.long_prefill_token_threshold == 128


def test_claim_8_a_sampling_argument_that_is_passed_through_is_obeyed(ask: Ask, prompts: list[list[int]]) -> None:
    only = prompts[0][5]
    answers = ask(prompts, passthrough={"allowed_token_ids": [only]}, output_length="fixed")
    assert tokens(answers) == [(only,) * MOST] * len(prompts)


def test_claim_8_sampling_goes_on_with_the_engines_random_numbers(ask: Ask, prompts: list[list[int]]) -> None:
    sampled = {"decoder": {"do_sample": True, "temperature": 1.0}, "output_length": "fixed"}
    assert tokens(ask(prompts, **sampled)) != tokens(ask(prompts, **sampled))


def test_claim_8_of_n_answers_to_a_request_all_tokens_count_and_it_ends_with_the_last_of_them(
    ask: Ask, prompts: list[list[int]]
) -> None:
    keys = {"decoder": {"do_sample": True, "temperature": 1.0}, "output_length": "fixed"}
    first, second = ask(prompts[:2], vllm={"sampling": {"n": 3}}, **keys)
    assert len(first.token_ids) == len(second.token_ids) == 3 * MOST
    # Four places for six answers: the last of the second request has to wait.
    assert first.finished_s is not None
    assert second.finished_s is not None
    assert first.started_s < first.finished_s < second.finished_s
    assert saturated_share([first, second], 4, 2, first.started_s, second.finished_s) is None


def test_claim_8_beam_search_answers_and_tells_no_time_of_one_request(ask: Ask, prompts: list[list[int]]) -> None:
    answers = ask(prompts[:2], vllm={"beam_search": {"beam_width": 2}}, output_length="fixed")
    assert [len(answer.token_ids) for answer in answers] == [MOST, MOST]
    assert [answer.finished_s for answer in answers] == [None, None]


def test_a_request_that_was_preempted_says_when_it_did_not_run(
    ask: Ask, backend: VllmBackend, prompts: list[list[int]]
) -> None:
    before = backend.facts().notes["preemptions"]
    answers = ask(prompts, max_output_tokens=200, output_length="fixed")
    assert backend.facts().notes["preemptions"] > before
    assert "preempted" in dict(backend.facts().warnings)
    pauses = [(answer, pause) for answer in answers for pause in answer.paused_s]
    assert pauses
    for answer, (from_s, to_s) in pauses:
        assert answer.started_s < from_s < to_s <= (answer.finished_s or 0.0)
        assert {from_s, to_s} <= set(answer.token_times_s)
    assert [len(answer.token_times_s) for answer in answers] == [200] * 4
    start_s, end_s = min(answer.started_s for answer in answers), max(answer.finished_s or 0.0 for answer in answers)
    without_pauses = [dataclasses.replace(answer, paused_s=()) for answer in answers]
    share, as_if = (saturated_share(each, 4, 4, start_s, end_s) for each in (answers, without_pauses))
    assert share is not None
    assert as_if is not None
    assert share < as_if


@pytest.mark.parametrize("keys", [{}, {"vllm": {"sampling": {"n": 2}}}, {"vllm": {"beam_search": {"beam_width": 2}}}])
def test_what_a_pass_that_breaks_off_had_asked_for_is_taken_back(
    ask: Ask, backend: VllmBackend, prompts: list[list[int]], keys: dict[str, Any]
) -> None:
    def stop(_new: int) -> None:
        raise Stopped("stopped")

    expected = tokens(ask(prompts))
    decoder = {"decoder": {"do_sample": True, "temperature": 1.0}} if "sampling" in str(keys) else {}
    with pytest.raises(Stopped):
        ask(prompts, stop, output_length="fixed", **decoder, **keys)
    loaded = backend._loaded
    assert loaded is not None
    assert not loaded.engine.has_unfinished_requests()
    assert backend.reset_prefix_cache() is True, "nothing of it is left in the KV cache either"
    assert tokens(ask(prompts)) == expected


def test_claim_7_no_process_of_the_engine_is_left_when_the_model_is_unloaded(backend: VllmBackend) -> None:
    """The last one here: it ends the engine that all others share."""
    processes = engines_of(psutil.Process())
    assert {process.name() for process in processes} == {"VLLM::EngineCore", "VLLM::Worker"}
    backend.unload()
    wait_until_gone(processes)
