"""Prompts → answers by `vllm.LLM`, with exact tokens and the engine's own times per request.

    enqueue ──▶ queue ──▶ scheduled ──▶ first token ──▶ … ──▶ last token        per request, CLOCK_MONOTONIC
    started_s   ◀─queued_s─▶            first_token_s         finished_s        (all processes of a machine share it)

The loop is the one inside `LLM.generate`, so that each step's times can be read where the engine keeps them: a look at
the running requests after each step, and nothing else. Text is made of the tokens, as it is for every user of vLLM.
"""

from __future__ import annotations

import contextlib
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
        """Answers in the order of `prompts`; the engine makes batches as it sees fit.

        Where this ends with an error, what it asked of the engine is taken back.
        """
        self.progress.on_tokens = on_tokens
        try:
            if self.beam_params is not None:
                return self._searched(prompts)
            return self._generated(prompts)
        except BaseException:
            self._take_back()
            raise
        finally:
            self.progress.on_tokens = None

    def _take_back(self) -> None:
        """Abort what the engine still has to do: it would do it in the next pass."""
        engine = self.llm.llm_engine
        # A broken engine may raise anything here; what is told is what went wrong first.
        with contextlib.suppress(Exception):
            engine.abort_request(list(engine.output_processor.request_states), internal=True)

    def _generated(self, prompts: Sequence[Sequence[int]]) -> list[RequestOutput]:
        started_s = time.monotonic()
        # All in one call, as `generate` does: one by one, the engine would begin with the first alone, and need a step
        # more for the others.
        self.llm.enqueue(
            [{"prompt_token_ids": list(prompt)} for prompt in prompts],
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
        return [request_output(output, started_s, stamps) for output in finished]

    def _searched(self, prompts: Sequence[Sequence[int]]) -> list[RequestOutput]:
        """Beam search is vLLM's own loop around its engine, over all prompts: it tells no times of one request."""
        started_s = time.monotonic()
        answers = self.llm.beam_search(
            [{"prompt_token_ids": list(prompt)} for prompt in prompts],
            self.beam_params,
            lora_request=self.lora_request,
        )
        return [
            RequestOutput(
                token_ids=tuple(answer.sequences[0].tokens[len(prompt) :]),
                input_tokens=len(prompt),
                started_s=started_s,
                finished_s=None,
            )
            for prompt, answer in zip(prompts, answers, strict=True)
        ]


@dataclass
class TokenStamps:
    """When each token of each request came, and when a request made none because it had been preempted.

    By the engine core's clock, from what vLLM keeps of a request. It tells of a preemption with the next token only, so
    a pause is all the time between two tokens: what was computed anew in it had been computed before.
    """

    _seen: dict[str, list[float]] = field(default_factory=dict)
    _preemptions: dict[str, int] = field(default_factory=dict)
    _pauses_s: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _single: bool = True

    def look(self, running: Any) -> None:
        """After a step: which of the `running` requests have a token more, and since when."""
        for state in running:
            self._look_at(state.external_req_id, state.stats)

    def times_s(self, request_id: str, stats: Any) -> tuple[float, ...] | None:
        """Of a finished request, with its last token; None where tokens came together."""
        self._look_at(request_id, stats)
        return tuple(self._seen[request_id]) if self._single else None

    def pauses_s(self, request_id: str) -> tuple[tuple[float, float], ...]:
        """(from, to) of each pause."""
        return tuple(self._pauses_s.get(request_id, ()))

    def _look_at(self, request_id: str, stats: Any) -> None:
        times_s = self._seen.setdefault(request_id, [])
        new = stats.num_generation_tokens - len(times_s)
        if new == 0:
            return
        if stats.num_preemptions > self._preemptions.get(request_id, 0):
            self._preemptions[request_id] = stats.num_preemptions
            before_s = times_s[-1] if times_s else stats.scheduled_ts
            self._pauses_s.setdefault(request_id, []).append((before_s, stats.last_token_ts))
        # Guessed tokens that were accepted together: a time between them means nothing.
        self._single &= new == 1
        times_s += [stats.last_token_ts] * new


def request_output(output: Any, started_s: float, stamps: TokenStamps) -> RequestOutput:
    """vLLM's `RequestOutput` as ours. Of several answers to one request all tokens count, and it ends with the last.

    vLLM gives the times of the answer that was ready last: its first token need not have been the request's.
    """
    tokens = tuple(token for answer in output.outputs for token in answer.token_ids)
    input_tokens, cached = len(output.prompt_token_ids), output.num_cached_tokens
    stats = output.metrics
    if len(output.outputs) > 1:
        return RequestOutput(tokens, input_tokens, started_s, stats.last_token_ts, cached_tokens=cached)
    times_s = stamps.times_s(output.request_id, stats)
    return RequestOutput(
        token_ids=tokens,
        input_tokens=input_tokens,
        started_s=started_s,
        finished_s=stats.last_token_ts,
        first_token_s=stats.first_token_ts,
        queued_s=max(0.0, stats.scheduled_ts - started_s),
        token_times_s=times_s or (),
        cached_tokens=cached,
        paused_s=stamps.pauses_s(output.request_id),
    )
