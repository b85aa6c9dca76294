"""Tokens of the window: what was asked and answered, and what the engine computed for it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from llem_runner.backends.protocol import RequestOutput
from llem_runner.contract.result import Tokens


def count_tokens(requests: Sequence[RequestOutput]) -> Tokens:
    """Tokens of these requests; a part is None where the engine does not tell it for all of them."""
    given = sum(request.input_tokens for request in requests)
    made = sum(len(request.token_ids) for request in requests)
    cached = [request.cached_tokens for request in requests if request.cached_tokens is not None]
    positions = [request.positions for request in requests if request.positions is not None]
    computed = sum(one.computed for one in positions) if len(positions) == len(requests) else None
    return Tokens(
        input=given,
        output=made,
        total=given + made,
        cached=sum(cached) if len(cached) == len(requests) else None,
        computed=computed,
        padding_share=sum(one.padding for one in positions) / computed if computed else None,
    )
