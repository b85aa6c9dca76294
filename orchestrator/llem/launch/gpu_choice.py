"""`execution.gpus`: which of the GPUs that are there a study may use. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from llem.errors import NotReadyError, UsageError
from llem.launch.gpus import Gpu


def choose_gpus(gpus: Sequence[Gpu], wanted: Sequence[int | str] | None, hidden: Sequence[Gpu] = ()) -> list[Gpu]:
    """Those of `gpus` that `wanted` names, by index or UUID, in the order written; None wants all.

    `hidden` are boards of this machine that CUDA_VISIBLE_DEVICES keeps from us: they are never chosen, only explained.
    Raises NotReadyError for a GPU that is not there, UsageError for one that is named twice.
    """
    if wanted is None:
        return list(gpus)
    chosen: list[Gpu] = []
    for name in wanted:
        gpu = _named(name, gpus)
        if gpu is None:
            raise NotReadyError(_absent(name, gpus, hidden))
        if gpu in chosen:
            raise UsageError(f"execution.gpus names GPU {gpu} twice. Name each GPU once, by its index or its UUID.")
        chosen.append(gpu)
    return chosen


def _named(name: int | str, gpus: Sequence[Gpu]) -> Gpu | None:
    text = str(name).strip().lower()
    # A UUID is never a number alone: a number in quotes is an index, too.
    return next((gpu for gpu in gpus if text in (str(gpu.index), gpu.uuid.lower())), None)


def _absent(name: int | str, gpus: Sequence[Gpu], hidden: Sequence[Gpu]) -> str:
    if str(name).strip().upper().startswith("MIG-"):
        return (
            f"execution.gpus names {name}, a part of a GPU (MIG). What a part of a board used cannot be measured: "
            "switch MIG off, and name the whole GPU."
        )
    there = ", ".join(map(str, gpus)) or "none"
    if gpu := _named(name, hidden):
        return (
            f"execution.gpus names {name}. That is GPU {gpu}, which is there, but CUDA_VISIBLE_DEVICES hides it from "
            f"llem. Unset that variable, or name others; GPUs that llem may use: {there}."
        )
    return (
        f"execution.gpus names {name}, and no such GPU is there. GPUs of this machine (index, name, UUID): {there}. "
        "Name those, or leave execution.gpus out to use all of them."
    )
