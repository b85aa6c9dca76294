"""Prompts → answers by `vllm.LLM`, with exact tokens and the engine's own times per request.

    enqueue ──▶ queue ──▶ scheduled ──▶ first token ──▶ … ──▶ last token        per request, CLOCK_MONOTONIC
    started_s   ◀─queued_s─▶            first_token_s         finished_s        (all processes of a machine share it)

The loop is the one inside `LLM.generate`, so that each step's times can be read where the engine keeps them: a look at
the running requests after each step, and nothing else. Text is made of the tokens, as it is for every user of vLLM.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from llem_runner.backends.protocol import RequestOutput
from llem_runner.backends.vllm.statistics import Progress


@dataclass
class Generator:
    """Answers prompts with one engine and one set of settings; `beam_params` in place of `sampling_params`, or None."""

    llm: Any
    sampling_params: Any
    beam_params: Any
    lora_request: Any
    progress: Progress

    def answer(self, prompts: Sequence[Sequence[int]], on_tokens: Callable[[int], None]) -> list[RequestOutput]:
        """Answers in the order of `prompts`; the engine makes batches as it sees fit."""
        self.progress.on_tokens = on_tokens
        try:
            if self.beam_params is not None:
                return self._searched(prompts)
            return self._generated(prompts)
        finally:
            self.progress.on_tokens = None

    def _generated(self, prompts: Sequence[Sequence[int]]) -> list[RequestOutput]:
        started_s = []
        for prompt in prompts:
            started_s.append(time.monotonic())
            self.llm.enqueue(
                [{"prompt_token_ids": list(prompt)}],
                self.sampling_params,
                lora_request=self.lora_request,
                use_tqdm=False,
            )
        engine = self.llm.llm_engine
        stamps = TokenStamps()
        finished = []
        while engine.has_unfinished_requests():
            finished += [output for output in engine.step() if output.finished]
            stamps.look(engine.output_processor.request_states.values())
        # vLLM counts its requests upwards: this is the order in which they were given to it.
        finished.sort(key=lambda output: int(output.request_id))
        return [
            request_output(output, start_s, stamps.of(output.request_id))
            for output, start_s in zip(finished, started_s, strict=True)
        ]

    def _searched(self, prompts: Sequence[Sequence[int]]) -> list[RequestOutput]:
        """Beam search is vLLM's own loop around its engine, over all prompts: it tells no times of one request."""
        started_s = time.monotonic()
        answers = self.llm.beam_search(
            [{"prompt_token_ids": list(prompt)} for prompt in prompts],
            self.beam_params,
            lora_request=self.lora_request,
        )
        ended_s = time.monotonic()
        return [
            RequestOutput(
                token_ids=tuple(answer.sequences[0].tokens[len(prompt) :]),
                input_tokens=len(prompt),
                started_s=started_s,
                finished_s=ended_s,
            )
            for prompt, answer in zip(prompts, answers, strict=True)
        ]


@dataclass
class TokenStamps:
    """When each token of each request came, by the engine core's clock."""

    _seen: dict[str, list[float]] = field(default_factory=dict)
    _single: bool = True

    def look(self, running: Any) -> None:
        """After a step: which of the `running` requests have a token more, and since when."""
        for state in running:
            stats = state.stats
            times_s = self._seen.setdefault(state.external_req_id, [])
            new = stats.num_generation_tokens - len(times_s)
            if new == 1:
                times_s.append(stats.last_token_ts)
            elif new > 1:
                # Guessed tokens that were accepted together: a time between them means nothing.
                self._single = False
                times_s += [stats.last_token_ts] * new

    def of(self, request_id: str) -> list[float] | None:
        """Of a finished request but its last token, with which it was gone; None where tokens came together."""
        return self._seen.get(request_id, []) if self._single else None


def request_output(output: Any, started_s: float, times_s: Sequence[float] | None) -> RequestOutput:
    """vLLM's `RequestOutput` as ours. Of several answers to one request all tokens count, and no time is told."""
    tokens = tuple(token for answer in output.outputs for token in answer.token_ids)
    input_tokens, cached = len(output.prompt_token_ids), output.num_cached_tokens
    stats = output.metrics
    if len(output.outputs) > 1 or stats is None:
        return RequestOutput(tokens, input_tokens, started_s, time.monotonic(), cached_tokens=cached)
    all_times_s = (*(times_s or ()), stats.last_token_ts)
    return RequestOutput(
        token_ids=tokens,
        input_tokens=input_tokens,
        started_s=started_s,
        finished_s=stats.last_token_ts,
        first_token_s=stats.first_token_ts,
        queued_s=max(0.0, stats.scheduled_ts - started_s),
        token_times_s=all_times_s if times_s is not None and len(all_times_s) == len(tokens) else (),
        cached_tokens=cached,
    )
