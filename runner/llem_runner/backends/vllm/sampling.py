"""How the next token is chosen, in vLLM's words. Pure.

The `decoder` section alone decides, as with every backend. A request ends at the model's stop tokens, all of them
named here: vLLM by itself knows the tokenizer's one only. With `output_length: fixed` nothing ends it, and nothing is
held back either: a stop token may come and counts as any other, as it does in transformers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from llem_runner.contract import ExperimentConfig, FailureKind, RunFailed
from llem_runner.contract.engines import VllmConfig


def sampling_arguments(
    config: ExperimentConfig, stop_token_ids: Sequence[int], passthrough: dict[str, Any]
) -> dict[str, Any]:
    """Arguments of `SamplingParams`; keys of `vllm.sampling` that are unset are left out."""
    section, decoder = config.vllm or VllmConfig(), config.decoder
    arguments: dict[str, Any] = {
        # These two are said by shared keys; a skip rule sees to it that they agree.
        **section.sampling.model_dump(exclude_none=True, exclude={"max_tokens", "min_tokens"}),
        "max_tokens": config.output_limit,
        "repetition_penalty": decoder.repetition_penalty,
        # vLLM's word for the most likely token.
        "temperature": decoder.temperature if decoder.do_sample else 0.0,
        "ignore_eos": config.output_fixed,
    }
    if decoder.do_sample:
        arguments |= {"top_p": decoder.top_p, "top_k": decoder.top_k or 0, "min_p": decoder.min_p or 0.0}
    # With a fixed length `min_tokens` would forbid the stop tokens, and so change what the model says.
    if not config.output_fixed:
        arguments["stop_token_ids"] = list(stop_token_ids)
        arguments["min_tokens"] = min(decoder.min_new_tokens or 0, config.output_limit)
    return arguments | passthrough


def beam_arguments(config: ExperimentConfig, known: Collection[str], version: str) -> dict[str, Any] | None:
    """Arguments of `BeamSearchParams`, of which `known` are the names; None where the experiment searches no beams.

    Raises `RunFailed` of kind backend where the width is missing, or for a key that this vLLM does not know.
    """
    section = config.vllm.beam_search if config.vllm else None
    written = section.model_dump(exclude_none=True) if section else {}
    if not written:
        return None
    if "beam_width" not in written:
        raise RunFailed(FailureKind.BACKEND, "vllm.beam_search needs beam_width: vLLM has no default for it.")
    unknown = [name for name in written if name not in known]
    if unknown:
        raise RunFailed(FailureKind.BACKEND, f"vLLM {version} has no beam_search.{unknown[0]}.")
    return {
        **written,
        "max_tokens": config.output_limit,
        "ignore_eos": config.output_fixed,
        # The stop token is an output token, as everywhere.
        "include_stop_str_in_output": True,
    }
