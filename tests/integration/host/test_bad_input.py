"""What a study file may name wrongly: one clear message, exit 2, nothing started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from llem_process import llem

MODEL = "model: builtin:tiny-llama\n"


def own_model(folder: Path, config: object) -> None:
    folder.mkdir()
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))


CASES = {
    "wrong_yaml": ("model: [unclosed\n", ("s.yaml:",)),
    "wrong_type": (MODEL + "n: many\n", ("s.yaml:2:4", "n:")),
    "impossible_value": (MODEL + "n: 0\n", ("s.yaml:2:4",)),
    "unknown_key": (MODEL + "precison: fp16\n", ("s.yaml:2:1", "precision")),
    "no_such_builtin": ("model: builtin:gpt-7\n", ("builtin:gpt-7", "builtin:tiny-llama")),
    "missing_model_folder": ("model: ./nowhere\n", ("nowhere", "does not exist")),
    "empty_model_folder": ("model: ./empty\n", ("empty", "config.json")),
    "broken_model_config": ("model: ./broken\n", ("broken", "config.json cannot be read")),
    "code_of_its_own": ("model: ./remote\n", ("remote", "trust_remote_code: true")),
    "missing_dataset": (MODEL + "dataset: ./none.jsonl\n", ("none.jsonl",)),
    "empty_dataset": (MODEL + "dataset: ./empty.txt\n", ("empty.txt",)),
    "dataset_too_small": (MODEL + "dataset: ./two.txt\nn: 3\n", ("two.txt", "2", "3")),
    "broken_dataset": (MODEL + "dataset: ./broken.jsonl\nn: 1\n", ("broken.jsonl",)),
    "missing_adapter": (MODEL + "lora: {adapter_path: ./adapter}\n", ("adapter", "adapter_config.json")),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything that the cases name, and its faults."""
    (tmp_path / "empty").mkdir()
    own_model(tmp_path / "broken", "{")
    own_model(tmp_path / "remote", {"model_type": "made-up", "auto_map": {"AutoConfig": "code.Config"}})
    (tmp_path / "empty.txt").write_text("\n\n")
    (tmp_path / "two.txt").write_text("one\ntwo\n")
    (tmp_path / "broken.jsonl").write_text('{"text": "a"\n')
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_claim_21_bad_input_is_one_clear_message_exit_2_and_nothing_started(folder: Path, case: str) -> None:
    text, words = CASES[case]
    (folder / "s.yaml").write_text(text)
    done = llem("run", "s.yaml", cwd=folder)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (folder / "results").exists()


def test_claim_4_all_errors_of_a_file_are_told_at_once(folder: Path) -> None:
    (folder / "s.yaml").write_text("model: builtin:tiny-llama\nn: many\nprecison: fp16\nwarmup: {enabled: 3}\n")
    done = llem("plan", "s.yaml", cwd=folder)
    assert done.returncode == 2
    for place in ("s.yaml:2:4", "s.yaml:3:1", "s.yaml:4:19"):
        assert place in done.stderr


def test_what_this_machine_lacks_plans_and_says_so_when_it_is_run(folder: Path) -> None:
    (folder / "s.yaml").write_text(MODEL + "runners: {pytorch: docker}\n")
    assert llem("plan", "s.yaml", cwd=folder).returncode == 0
    done = llem("run", "s.yaml", cwd=folder)
    assert done.returncode == 3
    assert "engine_unreachable: No container engine answers" in done.stderr
    assert not (folder / "results").exists()


def test_claim_22_an_output_folder_that_cannot_be_written_is_exit_3(folder: Path) -> None:
    (folder / "s.yaml").write_text(MODEL + "output: {folder: ./two.txt/inside}\n")
    done = llem("run", "s.yaml", cwd=folder)
    assert done.returncode == 3
    assert "cannot be made here" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "s.yaml", "--model", "builtin:tiny-llama"),
        ("run", "--resume", "."),
        ("run", "--resume", "x" * 500),
        ("run", "--resume", ".", "--n", "5"),
        ("run", "--model", "builtin:tiny-llama", "-o", "~nosuchuser/x"),
        ("results", "x" * 5000),
        ("run", "nowhere.yaml"),
        ("run", "two.txt"),
        ("run", "--order", "random", "two.txt"),
        ("run", "--model", "builtin:tiny-llama", "--backend", "pytroch"),
        ("run", "--model", "builtin:tiny-llama", "--n", "0"),
        ("plan", "nowhere.yaml"),
        ("results", "nowhere"),
        ("results", "."),
        ("dance",),
    ],
)
def test_claim_19_wrong_usage_is_exit_2_without_traceback(folder: Path, arguments: tuple[str, ...]) -> None:
    done = llem(*arguments, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_claim_12_without_network_and_cache_there_is_one_clear_message(folder: Path) -> None:
    (folder / "s.yaml").write_text("model: builtin:smollm2-135m\n")
    nowhere = {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_NO_CACHE_DIR": "1",
    }
    done = llem("run", "s.yaml", cwd=folder, env=nowhere)
    assert done.returncode == 3
    assert "builtin:smollm2-135m is not in the cache" in done.stderr
    assert "Is there a network?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "results").exists()
