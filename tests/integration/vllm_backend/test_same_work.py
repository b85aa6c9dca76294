"""A real model in both real engines: the ids that each engine is given, and what it answers, token by token.

The model's generation_config.json is hostile here, and must count for nothing. vLLM starts once.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from tiny_engine import ENDS_AN_ENGINE
from tokenizer_families import HOSTILE_TEXTS

from llem.launch.models import prepare_builtin
from llem_runner.backends.model_config import read_model_config
from llem_runner.backends.registry import open_backend
from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.contract.builtin import SMOLLM2_135M
from llem_runner.workload.tokens import PromptEncoder

pytestmark = ENDS_AN_ENGINE

MOST = 24
LIMIT = 24
AGREEMENT = 0.95
QUESTIONS = (
    "Name three planets.",
    "What is the capital of France? Answer in one short sentence.",
    "Why is the sky blue?",
    "Write a line about the sea.",
)
HOSTILE_DEFAULTS = {
    "do_sample": True,
    "temperature": 0.6,
    "top_k": 20,
    "top_p": 0.9,
    "repetition_penalty": 1.3,
    "no_repeat_ngram_size": 2,
    "max_length": 7,
    "max_new_tokens": 3,
}
TINY_CACHE = {"enforce_eager": True, "max_model_len": 128, "max_num_seqs": 4, "kv_cache_memory_bytes": 2**28}


def experiment(**keys: Any) -> ExperimentConfig:
    """Greedy in fp32, each request of exactly `MOST` tokens."""
    return ExperimentConfig.model_validate(
        {
            "model": SMOLLM2_135M.name,
            "device": "cpu",
            "precision": "fp32",
            "prompt_format": "chat",
            "max_input_tokens": LIMIT,
            "max_output_tokens": MOST,
            "output_length": "fixed",
            **keys,
        }
    )


def no_stop(seconds: float) -> bool:
    """Nobody presses Ctrl-C while the model is prepared."""
    time.sleep(seconds)
    return False


@pytest.fixture(scope="module")
def plain() -> Path:
    """The model as it is."""
    return Path(prepare_builtin(SMOLLM2_135M.name, print, no_stop))


@pytest.fixture(scope="module")
def hostile(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, whose generation defaults are all wrong for a greedy answer."""
    folder = tmp_path_factory.mktemp("hostile")
    for file in plain.iterdir():
        (folder / file.name).symlink_to(file)
    defaults = folder / "generation_config.json"
    before = json.loads(defaults.read_text())
    defaults.unlink()
    defaults.write_text(json.dumps({**before, **HOSTILE_DEFAULTS}))
    return folder


@dataclass
class Engine:
    """A backend with the model in it, and every list of ids that its engine was given since it was asked last."""

    backend: Any
    generator_of: Callable[[ExperimentConfig, Any], Any]
    """Its generator for another configuration, from what is loaded."""
    given: list[list[int]] = field(default_factory=list)

    def ids_given(self, texts: Sequence[str], prompt_format: Literal["raw", "chat"]) -> list[list[int]]:
        """What the engine gets for `texts`; it answers a token to each."""
        self.answers(texts, prompt_format=prompt_format, max_output_tokens=1)
        return self.taken()

    def answers(self, texts: Sequence[str], **keys: Any) -> list[tuple[int, ...]]:
        """The tokens that it answers, with `keys` of the experiment: those that need no other model."""
        with self._asked(experiment(**keys)):
            outputs = self.backend.generate(self.backend.encode(texts), lambda _new_tokens: None)
        return [output.token_ids for output in outputs]

    def taken(self) -> list[list[int]]:
        """What the engine was given; from here on it is counted anew."""
        taken, self.given[:] = list(self.given), []
        return taken

    @contextmanager
    def _asked(self, config: ExperimentConfig) -> Iterator[None]:
        loaded = self.backend._loaded
        encoder = PromptEncoder.for_experiment(loaded.tokenizer, config, read_model_config(loaded.model_path, config))
        generator = self.generator_of(config, loaded)
        self.backend._loaded = dataclasses.replace(loaded, config=config, encoder=encoder, generator=generator)
        yield
        self.backend._loaded = loaded


@pytest.fixture(scope="module")
def in_pytorch(plain: Path) -> Iterator[Engine]:
    """transformers, watched where `generate` is called. Its generation defaults are the model's real ones."""
    import torch

    from llem_runner.backends.pytorch.generation import generation_settings

    def generator_of(config: ExperimentConfig, loaded: Any) -> Any:
        pad = loaded.generator.settings["pad_token_id"]
        settings = generation_settings(config, loaded.stop_token_ids, pad, {})
        return dataclasses.replace(loaded.generator, settings=settings)

    threads = torch.get_num_threads()
    # On a busy machine threads mostly wait for each other.
    torch.set_num_threads(1)
    backend: Any = open_backend("pytorch")
    backend.load(experiment(pytorch={"batch_size": 4}), str(plain), None, 0)
    engine = Engine(backend, generator_of)
    model = backend._loaded.generator.model
    generate = model.generate

    def watched(input_ids: Any, attention_mask: Any, **arguments: Any) -> Any:
        rows = zip(input_ids, attention_mask, strict=True)
        engine.given.extend(ids[mask.bool()].tolist() for ids, mask in rows)
        return generate(input_ids, attention_mask=attention_mask, **arguments)

    model.generate = watched
    yield engine
    backend.unload()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def in_vllm(hostile: Path) -> Iterator[Engine]:
    """vLLM, watched where a request leaves for its engine core."""
    import vllm

    from llem_runner.backends.vllm.sampling import sampling_arguments

    def generator_of(config: ExperimentConfig, loaded: Any) -> Any:
        sampling = vllm.SamplingParams(**sampling_arguments(config, loaded.stop_token_ids, {}))
        return dataclasses.replace(loaded.generator, sampling_params=sampling)

    backend: Any = open_backend("vllm")
    backend.load(experiment(backend="vllm", vllm={"engine": TINY_CACHE}), str(hostile), None, 0)
    engine = Engine(backend, generator_of)
    core = backend._llm.llm_engine.engine_core
    add_request = core.add_request

    def watched(request: Any) -> None:
        engine.given.append(list(request.prompt_token_ids))
        add_request(request)

    core.add_request = watched
    yield engine
    backend.unload()


@pytest.mark.parametrize("prompt_format", ["raw", "chat"])
def test_claim_9_3_both_engines_are_given_the_same_ids_prompt_by_prompt(
    in_pytorch: Engine, in_vllm: Engine, prompt_format: Literal["raw", "chat"]
) -> None:
    texts = [QUESTIONS[0], *HOSTILE_TEXTS.values()]
    given = in_vllm.ids_given(texts, prompt_format)
    assert given == in_pytorch.ids_given(texts, prompt_format)
    longest = max(len(ids) for ids in given)
    assert longest == LIMIT if prompt_format == "raw" else longest > LIMIT


def test_claim_9_3_they_are_the_ids_that_vllm_gives_itself_for_the_same_texts(in_vllm: Engine) -> None:
    import vllm

    llm, one_token = in_vllm.backend._llm, vllm.SamplingParams(max_tokens=1, temperature=0)
    # Short ones: vLLM's own way does not keep the head of a text.
    texts = [*QUESTIONS, "hi </s> <s>[INST] <|im_end|>", HOSTILE_TEXTS["one emoji"], HOSTILE_TEXTS["nul"]]
    llm.generate(texts, one_token, use_tqdm=False)
    assert in_vllm.taken() == in_vllm.ids_given(texts, "raw")
    llm.chat([[{"role": "user", "content": text}] for text in texts], one_token, use_tqdm=False)
    assert in_vllm.taken() == in_vllm.ids_given(texts, "chat")


@pytest.fixture(scope="module")
def answers(in_pytorch: Engine, in_vllm: Engine) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """PyTorch's and vLLM's."""
    return in_pytorch.answers(QUESTIONS), in_vllm.answers(QUESTIONS)


def test_claim_9_4_with_a_fixed_length_both_engines_generate_exactly_so_many_tokens_a_request(
    answers: tuple[list[tuple[int, ...]], list[tuple[int, ...]]],
) -> None:
    for of_an_engine in answers:
        assert [len(answer) for answer in of_an_engine] == [MOST] * len(QUESTIONS)


def test_claim_9_4_greedy_answers_of_a_real_model_agree_in_fp32_whatever_its_generation_defaults_say(
    answers: tuple[list[tuple[int, ...]], list[tuple[int, ...]]],
) -> None:
    both = zip(*answers, strict=True)
    pairs = [pair for one, other in both for pair in zip(one, other, strict=True)]
    equal = sum(one == other for one, other in pairs) / len(pairs)
    assert equal >= AGREEMENT, f"{equal:.1%} of {len(pairs)} tokens are equal"


def test_claim_9_4_both_engines_stop_at_the_same_token_where_a_stop_token_may_end_a_request(
    in_pytorch: Engine, in_vllm: Engine
) -> None:
    [expected] = in_pytorch.answers(QUESTIONS[:1], output_length="stop")
    assert in_vllm.answers(QUESTIONS[:1], output_length="stop") == [expected]
    assert len(expected) < MOST
    assert expected[-1] in in_vllm.backend._loaded.stop_token_ids


def test_claim_9_4_a_request_of_fixed_length_that_vllm_would_cut_at_its_context_is_refused(in_vllm: Engine) -> None:
    context = TINY_CACHE["max_model_len"]
    with pytest.raises(RunFailed, match=r"context of 128 tokens.*raise vllm\.engine\.max_model_len") as caught:
        in_vllm.backend.generate([[5] * (context - MOST + 1)], lambda _new_tokens: None)
    assert caught.value.kind is FailureKind.BACKEND
    [fits] = in_vllm.backend.generate([[5] * (context - MOST)], lambda _new_tokens: None)
    assert len(fits.token_ids) == MOST


def test_claim_9_4_an_answer_that_may_end_early_and_that_vllm_cuts_at_its_context_is_warned_of(in_vllm: Engine) -> None:
    in_vllm.answers(QUESTIONS[:1], output_length="stop")
    assert "cut_at_context" not in dict(in_vllm.backend.facts().warnings)
    room = 4
    asked = {"prompt_format": "raw", "max_input_tokens": TINY_CACHE["max_model_len"] - room, "output_length": "stop"}
    [cut] = in_vllm.answers(["one word and another " * 100], **asked)
    assert len(cut) == room < MOST
    assert "cut_at_context" in dict(in_vllm.backend.facts().warnings)
