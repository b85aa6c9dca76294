"""Which model it was, from the files in its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from llem_runner.workload import model_files
from llem_runner.workload.model_files import describe_model

MIB = 2**20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "somebodys-model"
    made.mkdir()
    (made / "config.json").write_text('{"model_type": "llama"}')
    (made / "model.safetensors").write_bytes(b"header" + bytes(1000))
    (made / "notes of mine.docx").write_text("private")
    return made


def files(folder: Path) -> dict[str, dict[str, Any]]:
    return {file["name"]: file for file in describe_model(folder)["files"]}


def test_claim_8_10_a_models_files_have_sizes_and_hashes_and_nothing_of_their_folder(folder: Path) -> None:
    told = files(folder)
    assert list(told) == ["config.json", "model.safetensors"]
    content = (folder / "model.safetensors").read_bytes()
    assert told["model.safetensors"] == {
        "name": "model.safetensors",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "hashed": "whole",
    }
    assert "somebodys-model" not in str(describe_model(folder))


def test_claim_8_10_the_digest_of_all_files_changes_with_any_of_them(folder: Path) -> None:
    before = describe_model(folder)["digest"]
    assert describe_model(folder)["digest"] == before
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    assert describe_model(folder)["digest"] != before


def sparse(path: Path, size: int, **changed: int) -> None:
    """A file of zeros with a byte set at each of some places; it takes no room."""
    with path.open("wb") as file:
        file.truncate(size)
        for at in changed.values():
            file.seek(at)
            file.write(b"x")


def test_claim_8_10_a_large_file_is_hashed_by_a_sample_of_bounded_length(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, size = folder / "model.safetensors", 4096 * MIB
    hashed: list[int] = []
    real = hashlib.sha256

    class Counting:
        def __init__(self, data: bytes = b"") -> None:
            self._real = real(data)

        def update(self, data: bytes) -> None:
            hashed.append(len(data))
            self._real.update(data)

        def hexdigest(self) -> str:
            return self._real.hexdigest()

    sparse(path, size)
    monkeypatch.setattr(model_files.hashlib, "sha256", Counting)
    told = files(folder)["model.safetensors"]
    assert (told["bytes"], told["hashed"]) == (size, "sample")
    assert sum(hashed) == MIB + 64 * 64 * 1024


@pytest.mark.parametrize("at", [0, MIB - 1, MIB, 100 * MIB - 1], ids=["header", "head's-end", "first-block", "last"])
def test_claim_8_10_a_sample_sees_the_header_and_the_end(folder: Path, at: int) -> None:
    path = folder / "model.safetensors"
    sparse(path, 100 * MIB)
    before = files(folder)["model.safetensors"]["sha256"]
    sparse(path, 100 * MIB, one=at)
    assert files(folder)["model.safetensors"]["sha256"] != before


def test_claim_8_10_a_sample_sees_the_length(folder: Path) -> None:
    hashes = set()
    for size in (100 * MIB, 100 * MIB + 1):
        sparse(folder / "model.safetensors", size)
        hashes.add(files(folder)["model.safetensors"]["sha256"])
    assert len(hashes) == 2


def test_claim_8_10_the_revision_is_the_one_of_the_snapshot_or_the_one_asked_for(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / ("0123456789" * 4)
    snapshot.mkdir(parents=True)
    assert describe_model(snapshot)["revision"] == "0123456789" * 4
    assert describe_model(tmp_path, "main")["revision"] == "main"
    assert describe_model(tmp_path)["revision"] is None


def test_claim_8_10_where_there_is_no_folder_there_are_no_hashes(tmp_path: Path) -> None:
    assert describe_model(tmp_path / "owner" / "model", "v1") == {"revision": "v1", "digest": None, "files": None}
