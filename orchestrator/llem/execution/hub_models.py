"""Models and adapters of the Hub that the runs of a study need: gathered, fetched once, each at one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from llem.launch.hub.fetch import fetch
from llem.launch.hub.order import HubModel
from llem.study import resolve_model
from llem_runner.contract import ExperimentConfig

_ADAPTER = "hub:"
_DEFAULT = "main"


def model_key(config: ExperimentConfig) -> str:
    """What decides the model of an experiment: equal keys share its folder."""
    return config.model if config.revision is None else f"{config.model}@{config.revision}"


def adapter_key(config: ExperimentConfig) -> str | None:
    """The same of its adapter; None without one."""
    if config.lora is None:
        return None
    return config.lora.adapter_path or f"{_ADAPTER}{config.lora.adapter_id}"


@dataclass(frozen=True)
class FromHub:
    """What was fetched: folders by `model_key` and `adapter_key`, and the commit of each `id@revision`."""

    models: Mapping[str, str]
    adapters: Mapping[str, str]
    commits: Mapping[str, str]


def from_hub(
    configs: Iterable[ExperimentConfig],
    base_folder: Path,
    pinned: Mapping[str, str],
    notice: Callable[[str], None],
    stop: Callable[[float], bool],
) -> FromHub:
    """Fetch what the experiments name of the Hub; `pinned` are the commits that a resumed study began with.

    Raises NotReadyError or UsageError, as `fetch`.
    """
    named = wanted(configs, base_folder)
    if not named:
        return FromHub({}, {}, {})
    asked = {key: replace(model, revision=pinned.get(_pin(model), model.revision)) for key, model in named.items()}
    fetched = fetch(list(asked.values()), notice, stop)

    def folders(adapter: bool) -> dict[str, str]:
        return {key: fetched[model].folder for key, model in asked.items() if model.adapter is adapter}

    commits = {_pin(model): fetched[asked[key]].commit for key, model in named.items()}
    return FromHub(folders(False), folders(True), {**pinned, **commits})


def _pin(model: HubModel) -> str:
    return f"{model.repo}@{model.revision or _DEFAULT}"


def wanted(configs: Iterable[ExperimentConfig], base_folder: Path) -> dict[str, HubModel]:
    """What experiments name of the Hub, by `model_key` and `adapter_key`.

    Of those that share a model one may need its weights, or its code, and another not: it is fetched for all of them.
    """
    found: dict[str, HubModel] = {}
    for config in configs:
        for key, model in _named(config, base_folder):
            before = found.get(key, model)
            found[key] = replace(model, weights=model.weights or before.weights, code=model.code or before.code)
    return found


def _named(config: ExperimentConfig, base_folder: Path) -> Iterator[tuple[str, HubModel]]:
    if resolve_model(config.model, base_folder).kind == "hub":
        real = config.weights == "real"
        yield model_key(config), HubModel(config.model, config.revision, weights=real, code=config.trust_remote_code)
    if config.lora and config.lora.adapter_id:
        yield f"{_ADAPTER}{config.lora.adapter_id}", HubModel(config.lora.adapter_id, adapter=True)
