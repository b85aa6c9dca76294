"""Prompts → answers, a batch at a time, with exact tokens and times per request.

prompt A   . . a a a |  x  x  E             left padding; E is a stop token: 3 output tokens, finished at t3
prompt B   b b b b b |  y  y  y  y  y       5 output tokens, finished at t5
                     t1 t2 t3 t4 t5         one stamp a decoding step
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from llem_runner.backends.protocol import RequestOutput
from llem_runner.backends.pytorch.batches import Rectangle, batches, left_padded
from llem_runner.backends.pytorch.loading import STATIC_CACHES
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.engines import BatchOrder, PytorchConfig

_GUESSING = frozenset({"prompt_lookup_num_tokens", "assistant_early_exit"})
"""Settings with which tokens are guessed, and computed in vain where the guess was wrong."""


def generation_settings(
    config: ExperimentConfig, stop_token_ids: Sequence[int], pad_token_id: int, passthrough: dict[str, Any]
) -> dict[str, Any]:
    """Arguments of a `GenerationConfig` that leaves nothing which matters to the model's own defaults. Pure."""
    section, decoder = config.pytorch or PytorchConfig(), config.decoder
    settings: dict[str, Any] = {
        "max_new_tokens": config.output_limit,
        "do_sample": decoder.do_sample,
        "num_beams": section.num_beams,
        "repetition_penalty": decoder.repetition_penalty,
        "use_cache": section.use_cache,
        "eos_token_id": None if config.output_fixed or not stop_token_ids else list(stop_token_ids),
        "pad_token_id": pad_token_id,
    }
    if decoder.do_sample:
        # transformers fills an unset top_k with 50; 0 is its word for none.
        settings |= {"temperature": decoder.temperature, "top_k": decoder.top_k or 0, "top_p": decoder.top_p}
    optional = {
        "min_p": decoder.min_p if decoder.do_sample else None,
        "min_new_tokens": decoder.min_new_tokens,
        "cache_implementation": section.cache_implementation,
        "early_stopping": section.early_stopping,
        "length_penalty": section.length_penalty,
        "no_repeat_ngram_size": section.no_repeat_ngram_size,
        "prompt_lookup_num_tokens": section.prompt_lookup_num_tokens,
    }
    return settings | {name: value for name, value in optional.items() if value is not None} | passthrough


class StepClock:
    """Stamps every decoding step and counts its new tokens: what transformers calls a streamer.

    A streamer gets each step's tokens on the host, so a stamp is of a finished step. That costs no extra wait: the
    decoding loop itself waits for the device after each step, to learn whether any request goes on.
    """

    def __init__(self, rows: int, stop_token_ids: Collection[int], on_tokens: Callable[[int], None]) -> None:
        self.times_s: list[float] = []
        self.single_token_steps = True
        self._running = list(range(rows))
        self._stops = frozenset(stop_token_ids)
        self._on_tokens = on_tokens
        self._prompt_seen = False

    def put(self, tokens: Any) -> None:
        """Called with the prompt first, then with each step's tokens: one a request, or several of a single request."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        now_s = time.monotonic()
        if tokens.dim() == 2:
            self._single_request_step(now_s, tokens.shape[1])
            return
        self.times_s.append(now_s)
        new_tokens = len(self._running)
        if self._stops:
            step = tokens.tolist()
            self._running = [row for row in self._running if step[row] not in self._stops]
        self._on_tokens(new_tokens)

    def end(self) -> None:
        """Called when generation ends; nothing is held back here."""

    @property
    def steps(self) -> int | None:
        """Steps so far; None where some gave several tokens: what was guessed in vain is not told."""
        return len(self.times_s) if self.single_token_steps else None

    def _single_request_step(self, now_s: float, new_tokens: int) -> None:
        # Prompt lookup accepts several guessed tokens at once.
        self.times_s += [now_s] * new_tokens
        self.single_token_steps &= new_tokens == 1
        self._on_tokens(new_tokens)


class BeamProgress:
    """A sign of life from beam search, which takes no streamer: a stopping criterion that never stops anything."""

    def __init__(self, rows: int, on_tokens: Callable[[int], None]) -> None:
        self._rows = rows
        self._on_tokens = on_tokens
        self.steps = 0

    def __call__(self, input_ids: Any, _scores: Any, **_kwargs: Any) -> Any:
        """Called with all beams of all requests after each step."""
        self.steps += 1
        self._on_tokens(self._rows)
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


@dataclass
class Generator:
    """Answers prompts with one model and one set of settings."""

    model: Any
    settings: dict[str, Any]
    batch_size: int
    batch_order: BatchOrder = "as_written"
    compile_config: Any = None
    longest_input: int = 1
    """Longest input of the run as far as known: a static cache is made for it once, not anew for every batch."""

    def answer(self, prompts: Sequence[Sequence[int]], on_tokens: Callable[[int], None]) -> list[RequestOutput]:
        """Answers in the order of `prompts`, given `batch_size` at a time in `batch_order`."""
        self.longest_input = max([self.longest_input, *(len(prompt) for prompt in prompts)])
        generation_config = self.generation_config()
        outputs: dict[int, RequestOutput] = {}
        for batch in batches(prompts, self.batch_size, self.batch_order):
            answers = self._answer_batch([prompts[index] for index in batch], generation_config, on_tokens)
            outputs |= zip(batch, answers, strict=True)
        return [outputs[index] for index in range(len(prompts))]

    def generation_config(self) -> Any:
        """What `generate` is given (a transformers `GenerationConfig`): nothing is left to a model's own defaults."""
        settings = dict(self.settings)
        if settings.get("cache_implementation") in STATIC_CACHES:
            settings.setdefault("max_cache_len", self.longest_input + settings["max_new_tokens"])
        # An experiment that does not ask for compilation gets none; a static cache alone would switch it on.
        settings |= {"compile_config": self.compile_config} if self.compile_config else {"disable_compile": True}
        return GenerationConfig(**settings)

    def _answer_batch(
        self, prompts: Sequence[Sequence[int]], generation_config: Any, on_tokens: Callable[[int], None]
    ) -> list[RequestOutput]:
        started_s = time.monotonic()
        stops = generation_config.eos_token_id or ()
        steps = StepClock(len(prompts), stops, on_tokens)
        beams = BeamProgress(len(prompts), on_tokens) if self.settings["num_beams"] > 1 else None
        hook: dict[str, Any] = {"stopping_criteria": [beams]} if beams else {"streamer": steps}
        input_ids, attention_mask = left_padded(prompts)
        device = self.model.device
        sequences = self.model.generate(
            torch.tensor(input_ids, device=device),
            attention_mask=torch.tensor(attention_mask, device=device),
            generation_config=generation_config,
            **hook,
        )
        answers = sequences[:, len(input_ids[0]) :].tolist()
        ended_s = time.monotonic()
        computed = self._rectangle(len(input_ids[0]), (beams or steps).steps)
        return [
            _request_output(up_to_stop(answer, stops), len(prompt), started_s, ended_s, steps, computed)
            for prompt, answer in zip(prompts, answers, strict=True)
        ]

    def _rectangle(self, width: int, steps: int | None) -> Rectangle | None:
        if steps is None or not _GUESSING.isdisjoint(self.settings):
            return None
        return Rectangle(width, steps, self.settings["num_beams"], self.settings["use_cache"])


def up_to_stop(token_ids: Sequence[int], stop_token_ids: Collection[int]) -> tuple[int, ...]:
    """`token_ids` up to and including the first stop token; what follows is padding. Pure."""
    for position, token_id in enumerate(token_ids):
        if token_id in stop_token_ids:
            return tuple(token_ids[: position + 1])
    return tuple(token_ids)


def _request_output(
    token_ids: tuple[int, ...],
    input_tokens: int,
    started_s: float,
    ended_s: float,
    steps: StepClock,
    computed: Rectangle | None,
) -> RequestOutput:
    times_s = tuple(steps.times_s[: len(token_ids)])
    return RequestOutput(
        token_ids=token_ids,
        input_tokens=input_tokens,
        started_s=started_s,
        finished_s=times_s[-1] if times_s else ended_s,
        first_token_s=times_s[0] if times_s else None,
        token_times_s=times_s if steps.single_token_steps else (),
        cached_tokens=0,
        positions=computed.positions(input_tokens, len(token_ids)) if computed else None,
    )
