"""What the runs that are to come need of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from llem.execution.check import Checked
from llem.execution.hub_models import model_key
from llem.execution.preflight import Inputs
from llem.paths import expanded
from llem.study import Study, resolve_model
from llem_runner.contract import ExperimentConfig


@dataclass(frozen=True)
class Needs:
    """Experiments by id, how often each is still to run, their inputs, and `parent`, where study folders are made."""

    experiments: Mapping[str, ExperimentConfig]
    runs: Mapping[str, int]
    inputs: Inputs
    base_folder: Path
    parent: Path
    gpus: tuple[int | str, ...] | None = None
    """`execution.gpus`."""
    save_timeline: bool = True

    @classmethod
    def of_study(cls, study: Study, checked: Checked) -> Needs:
        """Those of a study that begins. Raises UsageError where its output folder's name cannot be used."""
        experiments = dict(checked.plan.experiments)
        return cls(
            experiments=experiments,
            runs=dict.fromkeys(experiments, study.execution.n_cycles),
            inputs=checked.inputs,
            base_folder=study.base_folder,
            parent=expanded(checked.output.folder),
            gpus=study.execution.gpus,
            save_timeline=checked.output.save_timeline,
        )

    @cached_property
    def on_gpus(self) -> dict[str, ExperimentConfig]:
        """Experiments that may run on GPUs."""
        return {key: config for key, config in self.experiments.items() if config.device != "cpu"}

    @cached_property
    def model_folders(self) -> dict[str, Path]:
        """The folders of models that are here already, by `model_key`: those that need not be fetched."""
        fetched = {key: Path(path) for key, path in self.inputs.models.items() if path.startswith("/")}
        local: dict[str, Path] = {}
        for config in self.experiments.values():
            source = resolve_model(config.model, self.base_folder)
            if source.kind == "folder" and source.path is not None:
                local[model_key(config)] = source.path
        return {**local, **fetched}
