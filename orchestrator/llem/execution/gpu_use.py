"""Which GPUs a run gets: healthy ones, and ours alone. They are leased from their first use to the study's end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress

from llem.errors import NotReadyError
from llem.execution.interrupts import Interrupts
from llem.execution.observer import Observer
from llem.execution.where import Launchers
from llem.launch.gpu_drain import GpuDrain
from llem.launch.gpu_lease import leased
from llem.launch.gpus import compute_processes, gpus_needed
from llem.launch.protocol import LaunchFailed, Place
from llem_runner.contract import ExperimentConfig, FailureKind


class NoHealthyGpu(NotReadyError):
    """Every GPU that a run could have has been found unhealthy."""


class GpuUse:
    """The GPUs of one study in execution."""

    def __init__(self, launchers: Launchers, interrupts: Interrupts, observer: Observer) -> None:
        self._launchers = launchers
        self._interrupts = interrupts
        self._observer = observer
        self._leases = ExitStack()
        self._leased: set[str] = set()
        self._unhealthy: dict[str, str] = {}
        self._drains: dict[int, GpuDrain] = {}

    def place_for(self, config: ExperimentConfig) -> Place:
        """Where a run of `config` goes; its GPUs are ours from here on.

        Raises LaunchFailed where there are too few, NoHealthyGpu, and LeaseGivenUp where we were asked to end.
        """
        places = self._launchers.of(config).capacity()
        if not gpus_needed(config, places[0].gpu_uuids):
            return Place(places[0].host)
        for place in places:
            healthy = tuple(uuid for uuid in place.gpu_uuids if uuid not in self._unhealthy)
            needed = gpus_needed(config, healthy)
            if 0 < needed <= len(healthy):
                chosen = Place(place.host, place.gpu_model, healthy[:needed])
                self.lease(chosen.gpu_uuids)
                return chosen
        if self._unhealthy:
            reasons = "; ".join(f"{uuid}: {reason}" for uuid, reason in self._unhealthy.items())
            raise NoHealthyGpu(f"No healthy GPU is left for this study ({reasons}).")
        raise LaunchFailed(
            FailureKind.GPU_REQUEST,
            f"It needs {gpus_needed(config, places[0].gpu_uuids)} GPUs of one model, and "
            f"{max(len(place.gpu_uuids) for place in places)} are there for this study.",
        )

    def lease(self, gpu_uuids: Iterable[str]) -> None:
        """Have these to ourselves until the end, with those we have. Raises LeaseGivenUp, NotReadyError."""
        if self._leased.issuperset(gpu_uuids):
            return
        # All at once, after giving back what we held: who waits for one and holds another may wait for ever.
        self._leases.close()
        wanted = self._leased | set(gpu_uuids)
        self._leased = set()
        self._leases.enter_context(leased(sorted(wanted), self._interrupts.wait, self._observer.notice))
        self._leased = wanted

    def before(self, config: ExperimentConfig, place: Place) -> None:
        """Remember what is in use on the GPUs of a run that is about to start."""
        if place.gpu_uuids:
            # Whoever cannot look now cannot start the run either, which is where it is told.
            with suppress(LaunchFailed, NotReadyError):
                self._drain(config).before(place.gpu_uuids)

    def after(self, config: ExperimentConfig, place: Place) -> None:
        """Wait until the run's GPUs are empty again; one that does not get there is used no more."""
        # Somebody who asked us to end is not kept for a judgement that no further run needs.
        if not place.gpu_uuids or self._interrupts.requested:
            return
        try:
            full = self._drain(config).after(place.gpu_uuids)
        except (LaunchFailed, NotReadyError) as failure:
            self._observer.notice(f"Whether the GPUs are empty again after the run is not known: {failure}")
            return
        for uuid, reason in full.items():
            self._unhealthy[uuid] = reason
            self._observer.notice(f"GPU {uuid} is used no more in this study: {reason}.")

    def close(self) -> None:
        """Give the leases back."""
        self._leases.close()

    def _drain(self, config: ExperimentConfig) -> GpuDrain:
        launcher = self._launchers.of(config)
        return self._drains.setdefault(
            id(launcher), GpuDrain(launcher.memory_used, self._interrupts.wait, processes=compute_processes)
        )
