"""Which prompts share a batch, how they are padded to one length, and what that costs. Pure.

A batch is a rectangle: every row is as wide as its longest prompt, and goes on until its longest answer ends.

    prompt A   . . a a a |  x  x  E  .  .       . is padding: computed like everything else, and nobody's token
    prompt B   b b b b b |  y  y  y  y  y
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llem_runner.backends.protocol import Positions
from llem_runner.contract.engines import BatchOrder


def batches(prompts: Sequence[Sequence[int]], batch_size: int, order: BatchOrder) -> list[list[int]]:
    """Indices of the prompts of each batch, in the order in which the batches are answered.

    `by_length` takes the longest first: a batch that does not fit in memory fails at once, not at the end.
    """
    indices = list(range(len(prompts)))
    if order == "by_length":
        indices.sort(key=lambda index: len(prompts[index]), reverse=True)
    return [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]


def left_padded(prompts: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Rows of one length and their attention mask; padding stands on the left.

    A row is padded with its own first token. The mask hides padding from attention, but the penalties on repeated
    tokens look at all ids of a row: so they see nothing that is not in the prompt anyway.
    """
    width = max(len(prompt) for prompt in prompts)
    rows = [[prompt[0]] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return rows, mask


@dataclass(frozen=True)
class Rectangle:
    """A batch as it was computed: `width` input tokens a row, `steps` decoding steps, `beams` rows a request."""

    width: int
    steps: int
    beams: int
    use_cache: bool

    def positions(self, input_tokens: int, output_tokens: int) -> Positions:
        """What one request's rows computed, and how much of it is padding.

        Beam search chooses among answers until the last step, so that only what stands left of the prompt is padding.
        """
        own_steps = self.steps if self.beams > 1 else output_tokens
        computed = self._computed(self.width, self.steps)
        return Positions(self.beams * computed, self.beams * (computed - self._computed(input_tokens, own_steps)))

    def _computed(self, width: int, steps: int) -> int:
        """The first step computes the prompt, every other one the token before it: the last is never computed.

        Without a cache every step computes all tokens before it.
        """
        if self.use_cache:
            return width + steps - 1
        return steps * width + steps * (steps - 1) // 2
