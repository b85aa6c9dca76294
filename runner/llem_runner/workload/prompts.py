"""`in/prompts.jsonl` → token ids, and what tells whether two runs were given the same ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from llem_runner.backends.protocol import Backend
from llem_runner.contract import FailureKind, RunFailed
from llem_runner.contract.exchange import Prompt, SyntheticRecipe
from llem_runner.workload.synthetic import synthetic_prompts


def load_prompts(path: Path, backend: Backend) -> list[list[int]]:
    """Token ids of every prompt, in order. Raises RunFailed of kind contract_mismatch where the file is unusable."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        if lines and "input_len" in lines[0]:
            recipe = SyntheticRecipe.model_validate(lines[0])
            return synthetic_prompts(recipe, backend.vocabulary())
        prompts = [Prompt.model_validate(line) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise RunFailed(FailureKind.CONTRACT_MISMATCH, f"{path} cannot be used: {error}") from error
    if not prompts:
        raise RunFailed(FailureKind.CONTRACT_MISMATCH, f"{path} holds no prompt")
    return backend.encode([prompt.text for prompt in prompts])


def ids_sha256(prompts: Sequence[Sequence[int]]) -> str:
    """SHA-256 (hex) over a line for each prompt, in order: its ids in decimal, with commas between them. Pure."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(f"{','.join(map(str, prompt))}\n".encode())
    return digest.hexdigest()
