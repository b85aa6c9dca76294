"""What is asked: the prompts that an experiment's `dataset`, `n` and `dataset_order` name, read, ordered and chosen.

Pure apart from reading the file named. The same configuration gives the same prompts on every machine, always.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from pathlib import Path

from llem.errors import NotReadyError, UsageError
from llem.printable import on_one_line
from llem.study.prompt_files import READERS, AskedPrompt, parse_jsonl, read_prompt_file
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.exchange import SyntheticRecipe

BUILTIN = "builtin"
_BUILTIN_FILE = "data/prompts.jsonl"


def read_prompts(config: ExperimentConfig, base_folder: Path) -> tuple[str, ...] | SyntheticRecipe:
    """The `n` prompts of an experiment in the order in which they are asked, or the recipe of synthetic ones.

    A dataset's path is relative to `base_folder`. Raises UsageError where the file cannot be used or holds fewer than
    `n` prompts, NotReadyError where the dataset looks like one of the Hub's.
    """
    if config.synthetic is not None:
        recipe = config.synthetic
        return SyntheticRecipe(
            seed=config.random_seed, input_len=recipe.input_len, output_len=recipe.output_len, n=config.n
        )
    dataset = str(config.dataset)
    prompts = builtin_prompts() if dataset == BUILTIN else read_prompt_file(_resolve(dataset, base_folder))
    if config.n > len(prompts):
        raise UsageError(
            f"n is {config.n}, but dataset {dataset} holds only {len(prompts)} prompts. "
            "Lower n, or name a larger dataset."
        )
    return tuple(prompt.text for prompt in _ORDERS[config.dataset_order](prompts, config.random_seed)[: config.n])


def builtin_prompts() -> list[AskedPrompt]:
    """The set written for this project, sorted by category as it is stored."""
    resource = files("llem.study").joinpath(_BUILTIN_FILE)
    return parse_jsonl(resource.read_bytes().splitlines(keepends=True), "the built-in prompts")


def interleaved(prompts: Sequence[AskedPrompt], _seed: int = 0) -> list[AskedPrompt]:
    """One prompt of each category in turn, so that any first n are a fair mix; without categories, as they stand."""
    groups = [iter(group) for group in _by_category(prompts)]
    mixed: list[AskedPrompt] = []
    while groups:
        taken = [next(group, None) for group in groups]
        groups = [group for group, prompt in zip(groups, taken, strict=True) if prompt is not None]
        mixed += [prompt for prompt in taken if prompt is not None]
    return mixed


def grouped(prompts: Sequence[AskedPrompt], _seed: int = 0) -> list[AskedPrompt]:
    """Category by category, in the order in which the categories first appear."""
    return [prompt for group in _by_category(prompts) for prompt in group]


def shuffled(prompts: Sequence[AskedPrompt], seed: int) -> list[AskedPrompt]:
    """By the SHA-256 of `f"{seed}:{index}"`: unlike `random.shuffle` the same in every version of Python."""

    def key(index: int) -> bytes:
        return hashlib.sha256(f"{seed}:{index}".encode()).digest()

    return [prompts[index] for index in sorted(range(len(prompts)), key=key)]


_ORDERS: dict[str, Callable[[Sequence[AskedPrompt], int], list[AskedPrompt]]] = {
    "interleaved": interleaved,
    "grouped": grouped,
    "shuffled": shuffled,
}


def _by_category(prompts: Iterable[AskedPrompt]) -> list[list[AskedPrompt]]:
    groups: dict[str, list[AskedPrompt]] = {}
    for prompt in prompts:
        groups.setdefault(prompt.category, []).append(prompt)
    return list(groups.values())


def _resolve(dataset: str, base_folder: Path) -> Path:
    try:
        path = base_folder / Path(dataset).expanduser()
    except RuntimeError as error:
        raise UsageError(f"dataset {dataset}: there is no such user here.") from error
    says_path = dataset.startswith(("/", "./", "../", "~")) or path.suffix.lower() in READERS
    if not says_path and not path.exists():
        where = on_one_line(str(base_folder))
        raise NotReadyError(
            f"dataset {on_one_line(dataset)}: datasets of the Hub are not available yet, and there is no such file "
            f"under {where}. Use {BUILTIN}, {{input_len, output_len}}, or a file: {', '.join(READERS)}."
        )
    return path
