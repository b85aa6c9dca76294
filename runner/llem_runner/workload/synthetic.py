"""Prompts of exactly so many random tokens. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

from llem_runner.contract.exchange import SyntheticRecipe


def synthetic_prompts(recipe: SyntheticRecipe, vocabulary: Sequence[int]) -> list[list[int]]:
    """`recipe.n` prompts of exactly `recipe.input_len` ids drawn from `vocabulary`, each from a seed of its own.

    A prompt depends on the recipe's seed, its own index and the vocabulary only: asking for more prompts changes none
    of the first ones. `vocabulary` must not be empty.
    """
    return [
        random.Random(f"{recipe.seed}:{index}").choices(vocabulary, k=recipe.input_len) for index in range(recipe.n)
    ]
