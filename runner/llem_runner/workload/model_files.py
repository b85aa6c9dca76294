"""Which model it was: revision, and hashes of the files in its folder, without reading hundreds of gigabytes.

    a file of up to 32 MiB     SHA-256 of all of it                                   `hashed: whole`
    a larger one               SHA-256 of its size in bytes (decimal) and a newline,  `hashed: sample`
                               its first MiB, and 64 blocks of 64 KiB evenly spread
                               from there to its end

A sample of a safetensors file has its header and parts of many tensors in it: another training step, precision or
shard changes it. A file that was changed in a few bytes on purpose may not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_WHOLE_UP_TO_BYTES = 32 * 2**20
_HEAD_BYTES = 2**20
_BLOCKS, _BLOCK_BYTES = 64, 64 * 2**10
_AT_MOST_FILES = 500
_SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".gguf", ".json", ".model", ".txt", ".jinja", ".py"})
_SNAPSHOT = re.compile(r"^[0-9a-f]{40}$")


def describe_model(folder: Path, revision: str | None = None) -> dict[str, Any]:
    """JSON values: `revision`, `digest` of all files together, and `files` [{name, bytes, sha256, hashed}].

    Nothing of the folder's own place is in it. `revision` is the one that was asked for; of a folder in a Hub cache it
    is the snapshot's. `digest` and `files` are None where there is no folder, or one that cannot be read.
    """
    if _SNAPSHOT.match(folder.name) and folder.parent.name == "snapshots":
        revision = folder.name
    try:
        files = list(_files(folder))
    except OSError:
        files = []
    lines = "".join(f"{file['name']} {file['bytes']} {file['sha256']}\n" for file in files)
    return {
        "revision": revision,
        "digest": hashlib.sha256(lines.encode()).hexdigest() if files else None,
        "files": files or None,
    }


def _files(folder: Path) -> Iterator[dict[str, Any]]:
    names = sorted(path.name for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
    for name in names[:_AT_MOST_FILES]:
        with (folder / name).open("rb") as file:
            size = file.seek(0, 2)
            whole = size <= _WHOLE_UP_TO_BYTES
            digest = _of_all(file) if whole else _of_a_sample(file, size)
            yield {"name": name, "bytes": size, "sha256": digest, "hashed": "whole" if whole else "sample"}


def _of_all(file: BinaryIO) -> str:
    file.seek(0)
    return hashlib.sha256(file.read()).hexdigest()


def _of_a_sample(file: BinaryIO, size: int) -> str:
    found = hashlib.sha256(f"{size}\n".encode())
    file.seek(0)
    found.update(file.read(_HEAD_BYTES))
    last = size - _BLOCK_BYTES
    for block in range(_BLOCKS):
        file.seek(_HEAD_BYTES + (last - _HEAD_BYTES) * block // (_BLOCKS - 1))
        found.update(file.read(_BLOCK_BYTES))
    return found.hexdigest()
