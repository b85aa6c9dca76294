"""How launchers are come by: from what a study says of containers and GPUs, and where its backends run here today."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llem.checklist import ENGINE, Checklist
from llem.execution.image_choice import ImagesHere
from llem.execution.interrupts import Interrupts
from llem.execution.observer import Observer
from llem.execution.where import Choice, Launchers, LaunchOptions, choose_where, open_launchers
from llem.launch.docker import ContainerSettings
from llem.study.settings import BackendPlace
from llem.study.study_keys import DockerSettings, size_in_bytes
from llem_runner.contract import ExperimentConfig


def chosen_launchers(
    places: Mapping[str, BackendPlace],
    options: LaunchOptions,
    observer: Observer,
    interrupts: Interrupts,
    checklist: Checklist,
) -> Launchers:
    """The launchers of backends; those that cannot be had are noted in `checklist`, and left out."""
    choice = Choice({})
    with checklist.noting(ENGINE):
        choice = choose_where(places, images=ImagesHere(wants_gpus=options.wants_gpus))
    return opened(choice, options, observer, interrupts, checklist)


def opened(
    choice: Choice, options: LaunchOptions, observer: Observer, interrupts: Interrupts, checklist: Checklist
) -> Launchers:
    """The same, where it is known where they run."""
    return open_launchers(choice, options, interrupts.wait, observer.notice, observer.image_pull, checklist)


def launch_options(
    docker: DockerSettings, gpus: tuple[int | str, ...] | None, configs: Iterable[ExperimentConfig]
) -> LaunchOptions:
    """What launchers are made with; `gpus` as in `execution.gpus`."""
    containers = ContainerSettings(
        gpu_driver=docker.gpu_driver,
        memory_bytes=size_in_bytes(docker.memory_limit) if docker.memory_limit else None,
        shm_bytes=size_in_bytes(docker.shm_size),
        network=docker.network,
    )
    return LaunchOptions(containers, gpus, wants_gpus=wants_gpus(configs))


def wants_gpus(configs: Iterable[ExperimentConfig]) -> bool:
    """Whether any experiment may run on a GPU."""
    return any(config.device != "cpu" for config in configs)
