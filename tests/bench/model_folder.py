"""The model that a benchmark runs, as a folder."""

from __future__ import annotations

import time
from pathlib import Path


def model_folder(model: str, made: Path) -> Path:
    """Folder of `model` (`builtin:tiny-llama`, which is made in `made`, `builtin:smollm2-135m`, or a folder)."""
    if model == "builtin:tiny-llama":
        from llem_runner.workload.tiny_llama import make_tiny_llama

        make_tiny_llama(made)
        return made
    if model.startswith("builtin:"):
        from llem.launch.models import prepare_builtin

        return Path(prepare_builtin(model, print, lambda seconds: bool(time.sleep(seconds))))
    return Path(model)
