"""Where results go: whether it can be written to, and holds what the runs to come will leave there at the least."""

from __future__ import annotations

import os
import shutil

from llem.checklist import Checklist
from llem.execution.exchange import prompts_text
from llem.execution.preflight import prompts_key
from llem.execution.readiness.needs import Needs
from llem_runner.contract import ExperimentConfig

CHECK = "disk of the results"

_STUDY_BYTES = 4 << 10
_RUN_BYTES = 16 << 10
"""The small files of a run: order, result, samples, log."""
_TIMELINE_BYTES_PER_S = 2500
"""`power.csv` of one GPU: some 9 MB an hour."""
_SPARE_BYTES = 1 << 30
"""With less left beside that it may well become too little: caches of engines, long runs, other people."""


def check_folder(needs: Needs, checklist: Checklist) -> None:
    """Check the folder of the results."""
    there = next(folder for folder in (needs.parent, *needs.parent.absolute().parents) if folder.exists())
    if not there.is_dir():
        checklist.fail(CHECK, f"{there} is a file: study folders cannot be made here.", "Choose another with -o.")
        return
    if not os.access(there, os.W_OK | os.X_OK):
        checklist.fail(
            CHECK,
            f"{there} cannot be written to by this user: study folders cannot be made here.",
            "Choose another folder with -o, or `llem config set output.folder …`.",
        )
        return
    free, needed = shutil.disk_usage(there).free, needed_bytes(needs)
    words = f"{there} has {_megabytes(free)} free; the runs to come write {_megabytes(needed)} or more"
    remedy = "Make room, or choose a folder on a larger disk with -o."
    if free < needed:
        checklist.fail(CHECK, f"{words}.", remedy)
    elif free < needed + _SPARE_BYTES:
        checklist.warn(CHECK, f"{words}.", remedy)
    else:
        checklist.ok(CHECK, words)


def needed_bytes(needs: Needs) -> int:
    """What the runs to come write at the least: nobody knows yet how long they take, nor on how many GPUs."""
    prompts = {key: len(prompts_text(value).encode()) for key, value in needs.inputs.prompts.items()}
    copies = 2 if needs.save_timeline else 1
    total = _STUDY_BYTES
    for experiment_id, config in needs.experiments.items():
        timeline = 0 if config.device == "cpu" else round(copies * _TIMELINE_BYTES_PER_S * _least_s(config))
        total += needs.runs[experiment_id] * (_RUN_BYTES + prompts.get(prompts_key(config), 0) + timeline)
    return total


def _least_s(config: ExperimentConfig) -> float:
    """How long a run is recorded at the least."""
    baseline = config.baseline.duration_seconds if config.baseline.enabled else 0.0
    warmup = config.warmup.thermal_floor_seconds if config.warmup.enabled else 0.0
    return baseline + warmup + config.energy.min_window_seconds


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"
