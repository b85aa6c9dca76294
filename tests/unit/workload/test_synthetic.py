"""Synthetic prompts: exact, seeded per request."""

from __future__ import annotations

from llem_runner.contract.exchange import SyntheticRecipe
from llem_runner.workload.synthetic import synthetic_prompts


def recipe(**overrides: int) -> SyntheticRecipe:
    return SyntheticRecipe.model_validate({"seed": 42, "input_len": 17, "output_len": 8, "n": 6, **overrides})


def test_claim_10_synthetic_prompts_are_exact_in_tokens_and_drawn_from_the_vocabulary() -> None:
    vocabulary = list(range(10, 200, 3))
    prompts = synthetic_prompts(recipe(), vocabulary)
    assert [len(prompt) for prompt in prompts] == [17] * 6
    assert {token for prompt in prompts for token in prompt} <= set(vocabulary)
    assert len({tuple(prompt) for prompt in prompts}) == 6


def test_the_same_recipe_gives_the_same_prompts_and_more_of_them_change_none() -> None:
    vocabulary = range(500)
    assert synthetic_prompts(recipe(), vocabulary) == synthetic_prompts(recipe(), vocabulary)
    assert synthetic_prompts(recipe(n=9), vocabulary)[:6] == synthetic_prompts(recipe(), vocabulary)


def test_another_seed_gives_other_prompts() -> None:
    assert synthetic_prompts(recipe(seed=43), range(500)) != synthetic_prompts(recipe(), range(500))
