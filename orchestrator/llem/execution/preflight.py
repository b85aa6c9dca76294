"""Before the first run: everything that would make a run impossible is found out now, while nothing is lost by it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from llem.errors import NotReadyError, UsageError
from llem.execution.exchange import Prompts, prompts_text
from llem.execution.hub_models import from_hub, model_key
from llem.launch.model_folder import check_model_folder
from llem.launch.models import prepare_builtin
from llem.paths import expanded
from llem.printable import on_one_line
from llem.study import check_hub_id, resolve_model
from llem.study.datasets import read_prompts
from llem_runner.contract import ExperimentConfig

NOTHING_PINNED: Final[Mapping[str, str]] = {}


def prompts_key(config: ExperimentConfig) -> str:
    """What decides the prompts of an experiment: equal keys share them."""
    dataset = config.synthetic.model_dump_json() if config.synthetic else str(config.dataset)
    return f"{dataset}|n={config.n}|{config.dataset_order}|seed={config.random_seed}"


@dataclass(frozen=True)
class Inputs:
    """What the runs of a study are given: prompts by `prompts_key`, folders by `model_key` and `adapter_key`."""

    prompts: Mapping[str, Prompts]
    models: Mapping[str, str]
    adapters: Mapping[str, str]
    commits: Mapping[str, str] = field(default_factory=dict)
    """Of each model and adapter of the Hub, by `id@revision`."""

    @property
    def folders(self) -> list[str]:
        """Every folder of a model or an adapter; builtin models that are made at load have none."""
        return [path for path in (*self.models.values(), *self.adapters.values()) if path.startswith("/")]

    def prompt_hashes(self) -> dict[str, str]:
        """SHA-256 of the prompts by key."""
        return {key: hashlib.sha256(prompts_text(value).encode()).hexdigest() for key, value in self.prompts.items()}


def check_inputs(configs: Iterable[ExperimentConfig], base_folder: Path) -> Inputs:
    """Check models and adapters and read the datasets: all that costs nothing. `models` is still empty.

    Raises UsageError that names every file or folder of the study that cannot be used, not only the first.
    """
    prompts: dict[str, Prompts] = {}
    adapters: dict[str, str] = {}
    problems: list[str] = []
    for config in {_inputs_key(config): config for config in configs}.values():
        with _collecting(problems):
            _check_model(config, base_folder)
        with _collecting(problems):
            if config.lora and config.lora.adapter_path:
                adapters[config.lora.adapter_path] = _adapter(config.lora.adapter_path, base_folder)
            if config.lora and config.lora.adapter_id:
                check_hub_id("lora.adapter_id", config.lora.adapter_id)
        with _collecting(problems):
            if (key := prompts_key(config)) not in prompts:
                prompts[key] = read_prompts(config, base_folder)
    if problems:
        raise UsageError("\n".join(dict.fromkeys(problems)))
    return Inputs(prompts, {}, adapters)


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        problems.append(on_one_line(str(error)))


def refuse_without_gpu(configs: Iterable[ExperimentConfig], gpus: bool) -> None:
    """Raise NotReadyError where every experiment asks for a GPU and this machine has none: no run could succeed."""
    if not gpus and all(config.device == "cuda" for config in configs):
        raise NotReadyError(
            "The study asks for device: cuda, and no NVIDIA GPU was found here (does nvidia-smi work?)."
        )


def refuse_other_gpus(began: Sequence[str] | None, now: Sequence[str]) -> None:
    """Raise NotReadyError where a study would go on with other GPU models than it began with, or without, or with any.

    `began` None: nobody noted them, or none was asked for.
    """
    if began is None or (set(began) <= set(now) and bool(began) == bool(now)):
        return
    raise NotReadyError(
        f"This study began with {_on(began)}, and now there is {_on(now)}: its runs could not be compared. Bring back "
        "what it began with (nvidia-smi, CUDA_VISIBLE_DEVICES), or start a new study."
    )


def _on(models: Sequence[str]) -> str:
    return " and ".join(models) or "no NVIDIA GPU"


def with_models(
    inputs: Inputs,
    configs: Iterable[ExperimentConfig],
    base_folder: Path,
    notice: Callable[[str], None],
    stop: Callable[[float], bool],
    pinned: Mapping[str, str] = NOTHING_PINNED,
) -> Inputs:
    """`inputs` with every model made ready. After the checks: nobody waits for a download to learn of a misspelt path.

    `stop(seconds)` waits that long and says whether we were asked to end; `pinned` are the commits that a resumed study
    began with. Raises NotReadyError where a model cannot be had, UsageError where it is the study's own fault.
    """
    distinct = {_models_key(config): config for config in configs}.values()
    hub = from_hub(distinct, base_folder, pinned, notice, stop)
    names = {key: config.model for config in distinct if (key := model_key(config)) not in hub.models}
    here = {key: _model_path(name, base_folder, notice, stop) for key, name in names.items()}
    return replace(
        inputs, models={**hub.models, **here}, adapters={**inputs.adapters, **hub.adapters}, commits=hub.commits
    )


def check_prompts_unchanged(inputs: Inputs, hashes: Mapping[str, str]) -> None:
    """Raise UsageError where a dataset is no longer the one that a resumed study began with."""
    for key, digest in inputs.prompt_hashes().items():
        if hashes.get(key, digest) != digest:
            raise UsageError(
                f"The prompts of dataset {key.split('|')[0]} have changed since this study began: its runs would not "
                "be comparable. Put the file back as it was, or start a new study."
            )


def _inputs_key(config: ExperimentConfig) -> tuple[object, ...]:
    return config.model, config.trust_remote_code, config.lora, prompts_key(config)


def _models_key(config: ExperimentConfig) -> tuple[object, ...]:
    return config.model, config.revision, config.trust_remote_code, config.weights, config.lora


def _check_model(config: ExperimentConfig, base_folder: Path) -> None:
    source = resolve_model(config.model, base_folder)
    if source.kind == "folder" and source.path is not None:
        check_model_folder(source.path, config.trust_remote_code)


def _model_path(model: str, base_folder: Path, notice: Callable[[str], None], stop: Callable[[float], bool]) -> str:
    source = resolve_model(model, base_folder)
    if source.kind == "builtin":
        return prepare_builtin(model, notice, stop)
    return str(source.path)


def _adapter(path: str, base_folder: Path) -> str:
    folder = (base_folder / expanded(path)).absolute()
    if not (folder / "adapter_config.json").is_file():
        raise UsageError(f"lora.adapter_path {folder}: no adapter_config.json there, so it is no adapter folder.")
    return str(folder)
