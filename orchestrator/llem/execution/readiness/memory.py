"""Whether the models fit onto the GPUs: a forecast from each model's folder, against what the boards have."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from llem.checklist import Checklist
from llem.execution.hub_models import model_key
from llem.execution.readiness.gpus import SKIP, experiments
from llem.execution.readiness.needs import Needs
from llem.launch.gpu_facts import GpuMemory
from llem.launch.gpus import gpus_needed
from llem.launch.protocol import Place
from llem.printable import on_one_line
from llem_runner.contract import ExperimentConfig
from llem_runner.metrics.memory_forecast import Forecast, ModelFiles, forecast

CHECK = "GPU memory forecast"

_GIB = 2**30
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
"""The first kind that a folder has is the one that is loaded."""
_TWICE = "consolidated"
"""What Mistral calls a second copy of the weights, in its own layout: beside the other it is not loaded."""


def check_forecast(
    needs: Needs, places: Sequence[Place], memory: Mapping[str, GpuMemory], checklist: Checklist
) -> None:
    """Compare what each experiment needs with what its GPUs have, for models that are here."""
    files = {key: found for key, folder in needs.model_folders.items() if (found := model_files(folder))}
    too_large: dict[str, list[str]] = {}
    perhaps: dict[str, list[str]] = {}
    judged = 0
    for experiment_id, config in needs.on_gpus.items():
        found = files.get(model_key(config))
        room = _room(config, places, memory) if found else None
        if found is None or room is None:
            continue
        judged += 1
        need = forecast(config, found, len(room))
        available = sum(_available(each, need.share) for each in room)
        # With a device map, what does not fit is put elsewhere, if slowly.
        spills = config.pytorch is not None and config.pytorch.device_map is not None
        if need.least_bytes > available and not spills:
            too_large.setdefault(_words(config, need, need.least_bytes, available, len(room)), []).append(experiment_id)
        elif need.most_bytes > available:
            perhaps.setdefault(_words(config, need, need.most_bytes, available, len(room)), []).append(experiment_id)
    all_fail = sum(map(len, too_large.values())) == len(needs.experiments)
    for words, ids in too_large.items():
        (checklist.fail if all_fail else checklist.warn)(
            CHECK,
            f"{experiments(ids)} will not fit: {words}.",
            "Choose a smaller model, fewer bits (quantisation), more GPUs, or a shorter vllm.engine.max_model_len. "
            + (SKIP if all_fail else "The others run."),
        )
    for words, ids in perhaps.items():
        checklist.warn(
            CHECK,
            f"{experiments(ids)} may run out of memory where prompts and answers are as long as they may be: {words}.",
            "Lower pytorch.batch_size, max_input_tokens or max_output_tokens.",
        )
    if judged and not too_large and not perhaps:
        checklist.ok(CHECK, f"{judged} experiments fit")


def model_files(folder: Path) -> ModelFiles | None:
    """What a model's folder tells of its size; None where it cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        kinds = [list(folder.glob(pattern)) for pattern in _WEIGHTS]
        weights = next(filter(None, kinds), [])
        once = [path for path in weights if not path.name.startswith(_TWICE)]
        sizes = [path.stat().st_size for path in once or weights]
    except (OSError, ValueError):
        return None
    return ModelFiles(config, sum(sizes)) if isinstance(config, dict) else None


def _room(config: ExperimentConfig, places: Iterable[Place], memory: Mapping[str, GpuMemory]) -> list[GpuMemory] | None:
    """The GPUs of a run at the roomiest place that has enough of them; None where that is not known."""
    rooms = []
    for place in places:
        count = gpus_needed(config, place.gpu_uuids)
        boards = [memory[uuid] for uuid in place.gpu_uuids if uuid in memory]
        if 0 < count <= len(boards):
            rooms.append(boards[:count])
    return max(rooms, key=lambda boards: sum(board.total_bytes for board in boards), default=None)


def _available(board: GpuMemory, share: float) -> float:
    return min(board.total_bytes - board.used_bytes, share * board.total_bytes)


def _words(config: ExperimentConfig, need: Forecast, total: int, available: float, gpus: int) -> str:
    kv_bytes = total - need.weights_bytes - need.engine_bytes
    kv_cache = f"KV cache {_gib(kv_bytes)}, " if kv_bytes else ""
    parts = f"weights {_gib(need.weights_bytes)}, {kv_cache}engine {_gib(need.engine_bytes)}"
    on = "the GPU" if gpus == 1 else f"{gpus} GPUs"
    of = f" ({need.share:g} of it may be used)" if need.share < 1 else ""
    return (
        f"{on_one_line(config.model)} takes {_gib(total)} GiB ({parts}), and {on} {'has' if gpus == 1 else 'have'} "
        + (f"{_gib(available)}{of}")
    )


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / _GIB:.1f}"
