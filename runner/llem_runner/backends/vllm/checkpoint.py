"""Whether a model's weights are all there: vLLM 0.32 computes with what was in memory where a matrix is missing.

It looks for missing weights itself, but leaves out every layer that could be quantised, and that is every matrix.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llem_runner.workload.model_failure import missing_tensors


def empty_model(model_config: Any, trust_remote_code: bool) -> Any:
    """The model as transformers makes it of its configuration, without memory; None where transformers lacks it."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(model_config, trust_remote_code=trust_remote_code)
    except Exception:  # noqa: BLE001 - vLLM has models that transformers lacks; what asks says that it does not know
        return None


def check_complete(model_path: str, empty: Any) -> None:
    """Raises `RunFailed` of kind model where safetensors files in the folder lack tensors of the `empty_model`.

    Only where every tensor that is there has the name that transformers gives it: others may be called otherwise, or
    be packed, and then nothing is known.
    """
    there = _names(Path(model_path))
    if empty is None or not there:
        return
    wanted = set(empty.state_dict())
    if there <= wanted:
        missing = sorted(wanted - there - set(empty.all_tied_weights_keys))
        if missing:
            raise missing_tensors(model_path, missing)


def _names(folder: Path) -> set[str]:
    from safetensors import SafetensorError, safe_open

    names: set[str] = set()
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(str(path), framework="pt") as opened:
                names.update(opened.keys())
        except (OSError, SafetensorError):
            # vLLM says what is wrong with it.
            return set()
    return names
