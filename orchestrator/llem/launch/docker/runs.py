"""The runs of a launcher: what each container sees of the host, and the containers until nothing is left of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.launch.docker.container import Container
from llem.launch.docker.engine import Engine, EngineImage
from llem.launch.docker.folders import shown_adapter, shown_cache, shown_model
from llem.launch.docker.request import EXCHANGE, Shown
from llem.launch.protocol import Attempt, Place
from llem_runner.contract import Allocation
from llem_runner.contract.exchange import IN, OUT


def shown_to_run(
    attempt: Attempt, place: Place, image: EngineImage, runner: Shown, owner: tuple[int, int]
) -> tuple[list[Shown], Allocation, bool]:
    """What the run's container sees of the host, the allocation in its words, and whether its cache is warm."""
    cache, warm = shown_cache(attempt.study_folder, image.id, owner)
    shown = [
        runner,
        cache,
        Shown(attempt.folder / IN, f"{EXCHANGE}/{IN}"),
        Shown(attempt.folder / OUT, f"{EXCHANGE}/{OUT}", writable=True),
    ]
    model_path, adapter_path = attempt.model_path, attempt.adapter_path
    if model := shown_model(model_path):
        shown.append(model[0])
        model_path = model[1]
    if adapter_path is not None:
        folder, adapter_path = shown_adapter(adapter_path)
        shown.append(folder)
    allocation = Allocation(
        host=place.host, gpu_uuids=place.gpu_uuids, model_path=model_path, adapter_path=adapter_path
    )
    return shown, allocation, warm


@dataclass
class Run:
    """A run of ours; `record` is what only the launcher knows of it."""

    container: Container
    folder: Path
    record: Mapping[str, Any]
    collected: bool = False


class Runs:
    """Those that were started or found, by handle. A container that could not be removed is tried again later."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runs: dict[str, Run] = {}
        self._to_remove: list[Container] = []

    def __getitem__(self, handle: str) -> Run:
        return self._runs[handle]

    def add(self, container: Container, folder: Path, record: Mapping[str, Any]) -> None:
        """One more, under its container's name."""
        self._runs[container.name] = Run(container, folder, record)

    def not_collected(self) -> list[str]:
        """Handles of those that may be running."""
        return [handle for handle, run in self._runs.items() if not run.collected]

    def collect(self, handle: str) -> None:
        """Keep the log of one that has ended, and remove its container."""
        run = self._runs[handle]
        run.collected = True
        try:
            run.container.keep_log()
        finally:
            self._remove(run.container)

    def discard(self, handle: str) -> None:
        """Forget one whose container never ran, if there is one at all."""
        self._remove(self._runs.pop(handle).container)

    def tidy(self) -> None:
        """Before the next: forget what is collected, and try once more to remove what could not be removed."""
        self.remove_what_is_left()
        self._runs = {handle: run for handle, run in self._runs.items() if not run.collected}

    def remove_what_is_left(self) -> None:
        """Try once more, where the engine answers."""
        if self._to_remove and self._engine.answers():
            self._to_remove = [container for container in self._to_remove if not container.remove()]

    def close(self) -> None:
        """Remove every container that is still there, running or not; say which could not be."""
        self._to_remove += [self._runs[handle].container for handle in self.not_collected()]
        self._runs.clear()
        self.remove_what_is_left()
        for container in self._to_remove:
            container.tell_that_it_is_there()
        self._to_remove.clear()

    def _remove(self, container: Container) -> None:
        if not container.remove():
            self._to_remove.append(container)
