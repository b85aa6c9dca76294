"""The builtin models, as folders that any engine loads: made on the spot, or converted once from a package.

`python3 -m llem_runner model NAME SOURCE DESTINATION` calls `prepare_builtin_model`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from llem_runner.contract import FailureKind, RunFailed
from llem_runner.contract.builtin import BUILTIN_PREFIX, PACKAGED_MODELS, TINY_LLAMA


def resolve_model_folder(model_path: str) -> tuple[str, TemporaryDirectory[str] | None]:
    """`model_path` as an engine loads it, and the temporary folder to clean up where the model was made just now.

    Raises `RunFailed` of kind model for a builtin name that is unknown or was not prepared.
    """
    if not model_path.startswith(BUILTIN_PREFIX):
        return model_path, None
    if model_path == TINY_LLAMA:
        from llem_runner.workload.tiny_llama import make_tiny_llama

        made = TemporaryDirectory(prefix="llem-tiny-llama-")
        make_tiny_llama(Path(made.name))
        return made.name, made
    if model_path in PACKAGED_MODELS:
        raise RunFailed(
            FailureKind.MODEL,
            f"{model_path} was not prepared: its folder has to be given as the model's path "
            f"(python3 -m llem_runner model {model_path} SOURCE DESTINATION makes it).",
        )
    raise RunFailed(FailureKind.MODEL, _unknown(model_path))


def prepare_builtin_model(name: str, source: Path, destination: Path, progress: Callable[[str], None]) -> None:
    """Make the model folder `destination` from `source`, the model's package (a wheel, or a folder with its files).

    `progress` is called with lines for people. Does nothing where `destination` is whole already.
    Raises `RunFailed` of kind model, or of kind backend where the packages for converting are missing.
    """
    if name not in PACKAGED_MODELS:
        raise RunFailed(FailureKind.MODEL, _unknown(name) if name != TINY_LLAMA else f"{name} needs no preparation.")
    from llem_runner.workload.conversion import convert

    convert(PACKAGED_MODELS[name], source, destination, progress)


def _unknown(name: str) -> str:
    return f"{name} is no builtin model; there are {TINY_LLAMA} and {', '.join(PACKAGED_MODELS)}."
