"""Which prompts are asked, and in which order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llem.errors import CliExit, NotReadyError, UsageError
from llem.study.datasets import builtin_prompts, grouped, interleaved, read_prompts, shuffled
from llem.study.prompt_files import AskedPrompt
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.exchange import SyntheticRecipe

HERE = Path()


def config(**keys: object) -> ExperimentConfig:
    return ExperimentConfig.model_validate({"model": "builtin:tiny-llama", **keys})


def asked(**keys: object) -> tuple[str, ...]:
    prompts = read_prompts(config(**keys), HERE)
    assert isinstance(prompts, tuple)
    return prompts


def test_claim_11_builtin_set_has_at_least_200_varied_prompts_short_to_long() -> None:
    prompts = builtin_prompts()
    words = sorted(len(prompt.text.split()) for prompt in prompts)
    assert len(prompts) >= 240
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    assert len({prompt.category for prompt in prompts}) >= 8
    assert words[0] <= 5
    assert words[-3] >= 350
    assert 10 <= words[len(words) // 2] <= 60
    assert sum(not prompt.text.isascii() for prompt in prompts) >= 10


def test_claim_11_first_prompts_of_the_builtin_set_cover_every_category() -> None:
    categories = {prompt.text: prompt.category for prompt in builtin_prompts()}
    assert len({categories[text] for text in asked(n=8)}) == 8


def test_claim_11_n_takes_the_first_of_the_order() -> None:
    assert asked(n=20)[:7] == asked(n=7)
    assert len(asked(n=100)) == 100


def test_claim_11_every_order_keeps_all_prompts() -> None:
    everything = {prompt.text for prompt in builtin_prompts()}
    for order in ("interleaved", "grouped", "shuffled"):
        assert set(asked(n=len(everything), dataset_order=order)) == everything


def test_claim_11_seed_is_honoured_by_shuffled_only() -> None:
    assert asked(dataset_order="shuffled", random_seed=1) != asked(dataset_order="shuffled", random_seed=2)
    assert asked(dataset_order="interleaved", random_seed=1) == asked(dataset_order="interleaved", random_seed=2)
    assert asked(dataset_order="shuffled", random_seed=7) == asked(dataset_order="shuffled", random_seed=7)


def test_claim_11_shuffle_is_the_same_in_every_process_and_version() -> None:
    letters = [AskedPrompt(letter) for letter in "abcdefgh"]
    assert "".join(prompt.text for prompt in shuffled(letters, 42)) == _shuffle_elsewhere(42)


def _shuffle_elsewhere(seed: int) -> str:
    code = (
        "import hashlib; print(''.join(sorted('abcdefgh',"
        f" key=lambda c: hashlib.sha256(('{seed}:' + str('abcdefgh'.index(c))).encode()).hexdigest())))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout.strip()


def test_interleaved_takes_each_category_in_turn_and_grouped_one_after_another() -> None:
    prompts = [AskedPrompt(text, text[0]) for text in ("a1", "a2", "a3", "b1", "c1", "c2")]
    assert [prompt.text for prompt in interleaved(prompts)] == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert [prompt.text for prompt in grouped(interleaved(prompts))] == ["a1", "a2", "a3", "b1", "c1", "c2"]


def test_without_categories_interleaved_and_grouped_are_the_order_of_the_file() -> None:
    prompts = [AskedPrompt(text) for text in ("z", "a", "m")]
    assert interleaved(prompts) == grouped(prompts) == prompts


def test_claim_21_n_above_the_size_of_the_dataset_names_the_size() -> None:
    size = len(builtin_prompts())
    with pytest.raises(UsageError, match=f"n is {size + 1}.*only {size} prompts") as raised:
        read_prompts(config(n=size + 1), HERE)
    assert raised.value.exit_code == CliExit.USAGE


def test_synthetic_datasets_are_a_recipe_with_the_seed_of_the_experiment() -> None:
    recipe = read_prompts(config(dataset={"input_len": 32, "output_len": 8}, n=5, random_seed=9), HERE)
    assert recipe == SyntheticRecipe(seed=9, input_len=32, output_len=8, n=5)


def test_paths_are_relative_to_the_base_folder(tmp_path: Path) -> None:
    (tmp_path / "asked.txt").write_text("one\ntwo\n", encoding="utf-8")
    assert read_prompts(config(dataset="asked.txt", n=2), tmp_path) == ("one", "two")
    assert read_prompts(config(dataset=str(tmp_path / "asked.txt"), n=1), HERE) == ("one",)


def test_a_dataset_of_the_hub_is_not_available_yet(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="not available yet"):
        read_prompts(config(dataset="somebody/some-prompts"), tmp_path)


def test_claim_21_a_home_folder_of_nobody_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no such user"):
        read_prompts(config(dataset="~nobody-of-this-name/a.txt"), HERE)
