"""Floating-point operations of answered requests, from the model's matrices and the requests' token counts. Pure.

Formula `2n+causal_attention`: a multiply-add is 2 operations.

    forward(t tokens, p pairs, h positions) = 2 · N · t + 2 · Σ layers (pair width · p) + 2 · H · h

    N  elements of the matrices of all layers that one token is multiplied with (of experts those that it is sent to)
    p  (query, key) pairs: query i of a sequence looks at i keys, or at its sliding window of them
    H  elements of the matrix that makes logits, for those positions for which the engine makes them

    prefill   all input tokens that no cache held, and the logits of the last of them (or of all)
    decode    every output token but the last goes through the model once more, for the token after it

What is counted is what the requests need: no padding, nothing after a stop token, no guess that was turned down. Beam
search pursues all its beams, so that each of its output tokens counts once a beam, its prefill once. Without a
key-value cache every token computes all before it anew, and that counts. Norms, biases, softmax and activations do
not: they are below 1 % at the sizes of real models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llem_runner.contract.result import Compute
from llem_runner.metrics.architecture import Shape, Uncountable, shape_of

METHOD = "2n+causal_attention"

_PARAMETERS_MAY_DIFFER = 0.05
"""Biases and norms are a few parts in a thousand; a matrix that was overlooked is more."""


@dataclass(frozen=True)
class Arithmetic:
    """What a backend tells of its model and of how it runs it, so that the operations can be counted.

    `model_config`: the part of `config.json` that is about text, defaults filled in. `logits_of_all_inputs`: whether
    prefill makes logits of every input token, and not of the last alone. `adapter_elements`: of matrices beside the
    model's own that every token is multiplied with (LoRA). `unclear`: why the backend cannot tell, where it cannot.
    """

    model_config: dict[str, Any]
    logits_of_all_inputs: bool = False
    kv_cache: bool = True
    beams: int = 1
    adapter_elements: int = 0
    unclear: str | None = None


class CountedRequest(Protocol):
    """An answered request. `cached_tokens`: input tokens that a cache held; None where the engine cannot tell."""

    @property
    def token_ids(self) -> Sequence[int]: ...
    @property
    def input_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int | None: ...


@dataclass(frozen=True)
class Flops:
    """Operations of prefill and decode."""

    prefill: int = 0
    decode: int = 0

    @property
    def total(self) -> int:
        """Both."""
        return self.prefill + self.decode

    def times(self, factor: int) -> Flops:
        """Of so many such requests."""
        return Flops(self.prefill * factor, self.decode * factor)

    def plus(self, other: Flops) -> Flops:
        """Of both."""
        return Flops(self.prefill + other.prefill, self.decode + other.decode)


def compute_of(
    arithmetic: Arithmetic | None, parameters: int | None, requests: Sequence[CountedRequest], window_s: float
) -> tuple[Compute, str | None]:
    """The work of all `requests` in a window of `window_s` seconds; where it cannot be counted, None and the reason.

    `parameters` are the model's own, as the engine counts them: where they are not those that its configuration makes,
    the configuration is not the whole story and nothing is counted.
    """
    if arithmetic is None:
        return Compute(parameters=parameters), "this engine does not tell the sizes of its model"
    try:
        shape = _checked_shape(arithmetic, parameters)
        flops = flops_of(shape, arithmetic, requests)
    except Uncountable as error:
        return Compute(parameters=parameters), str(error)
    tokens = sum(len(request.token_ids) for request in requests)
    return Compute(
        parameters=parameters,
        active_parameters=shape.active + arithmetic.adapter_elements,
        flops_total=float(flops.total),
        flops_prefill=float(flops.prefill),
        flops_decode=float(flops.decode),
        flops_per_output_token=flops.total / tokens if tokens else None,
        flops_per_s=flops.total / window_s,
        method=METHOD,
    ), None


def _checked_shape(arithmetic: Arithmetic, parameters: int | None) -> Shape:
    if arithmetic.unclear:
        raise Uncountable(arithmetic.unclear)
    shape = shape_of(arithmetic.model_config)
    expected = shape.stored + arithmetic.adapter_elements
    if parameters is not None and abs(parameters - expected) > _PARAMETERS_MAY_DIFFER * parameters:
        raise Uncountable(f"the model has {parameters} parameters where its configuration makes {expected}")
    return shape


def flops_of(shape: Shape, how: Arithmetic, requests: Sequence[CountedRequest]) -> Flops:
    """The work of all `requests`. Raises `Uncountable` where the engine does not tell what a cache held."""
    if any(request.cached_tokens is None for request in requests):
        raise Uncountable("this engine does not tell which input tokens came from a cache")
    alike = Counter((request.input_tokens, request.cached_tokens or 0, len(request.token_ids)) for request in requests)
    total = Flops()
    for (given, cached, made), count in alike.items():
        total = total.plus(request_flops(shape, how, given, cached, made).times(count))
    return total


def request_flops(shape: Shape, how: Arithmetic, given: int, cached: int, made: int) -> Flops:
    """The work of one request of `given` input tokens, of which a cache held `cached`, and `made` output tokens."""
    fresh = given - cached
    prefill = _forward(shape, how, cached, given, fresh if how.logits_of_all_inputs else 1)
    if how.kv_cache:
        steps = max(made - 1, 0)
        return Flops(prefill, how.beams * _forward(shape, how, given, given + steps, steps))
    # Every further token is a prefill of all tokens before it.
    lengths = range(given + 1, given + made)
    decode = sum(_forward(shape, how, 0, length, length if how.logits_of_all_inputs else 1) for length in lengths)
    return Flops(prefill, how.beams * decode)


def _forward(shape: Shape, how: Arithmetic, before: int, after: int, logits: int) -> int:
    """One or more forward passes that lengthen a sequence from `before` to `after` tokens."""
    matrices = shape.active - shape.head + how.adapter_elements
    attention = sum(width * pairs(before, after, window) for window, width in shape.pair_widths.items())
    return 2 * (matrices * (after - before) + attention + shape.head * logits)


def pairs(before: int, after: int, window: int | None = None) -> int:
    """How many keys the queries `before` + 1 … `after` of a sequence look at: each at itself and all before it."""
    if window is None:
        return (after * (after + 1) - before * (before + 1)) // 2
    inside = min(max(window, before), after)
    return pairs(before, inside) + window * (after - inside)
