"""Which GPUs a run gets: healthy ones, and ours alone. They are leased from their first use to the study's end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial

from llem.errors import NotReadyError
from llem.execution.facts import StudyFacts
from llem.execution.interrupts import Interrupts
from llem.execution.observer import Observer
from llem.execution.where import Launchers
from llem.launch.gpu_drain import GpuDrain
from llem.launch.gpu_lease import LeaseGivenUp, leased, nobody
from llem.launch.gpus import compute_processes, gpus_needed
from llem.launch.protocol import LaunchFailed, Place
from llem_runner.contract import ExperimentConfig, FailureKind


class NoHealthyGpu(NotReadyError):
    """Every GPU that a run could have has been found unhealthy."""


class GpuUse:
    """The GPUs of one study in execution."""

    def __init__(self, facts: StudyFacts, launchers: Launchers, interrupts: Interrupts, observer: Observer) -> None:
        self._facts = facts
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
        places = self._places(config)
        if not gpus_needed(config, places[0].gpu_uuids):
            return Place(places[0].host)
        for place in places:
            healthy = tuple(uuid for uuid in place.gpu_uuids if uuid not in self._unhealthy)
            needed = gpus_needed(config, healthy)
            if 0 < needed <= len(healthy):
                return Place(place.host, place.gpu_model, self._leased_of(config, healthy, needed))
        if self._unhealthy:
            reasons = "; ".join(f"{uuid}: {reason}" for uuid, reason in self._unhealthy.items())
            raise NoHealthyGpu(f"No healthy GPU is left for this study ({reasons}).")
        raise LaunchFailed(
            FailureKind.GPU_REQUEST,
            f"It needs {gpus_needed(config, places[0].gpu_uuids)} GPUs of one model, and "
            f"{max(len(place.gpu_uuids) for place in places)} are there for this study.",
        )

    def _places(self, config: ExperimentConfig) -> Sequence[Place]:
        """Those that there are; of a study that goes on, with GPUs as it began with, in that order."""
        there = self._launchers.of(config).capacity()
        models = self._facts.gpu_models or ()
        return [place for model in models for place in there if place.gpu_model == model] or there

    def lease(self, gpu_uuids: Iterable[str]) -> None:
        """Have these to ourselves until the end: those of a run of ours that goes on there.

        Raises LeaseGivenUp, NotReadyError.
        """
        if not self._leased.issuperset(gpu_uuids):
            self._lease_anew(self._leased.union(gpu_uuids))

    def _leased_of(self, config: ExperimentConfig, healthy: Sequence[str], needed: int) -> tuple[str, ...]:
        """`needed` of the GPUs `healthy`, ours: those that we have, else whichever are free first."""
        ours = [uuid for uuid in healthy if uuid in self._leased]
        if len(ours) < needed:
            others = [uuid for uuid in healthy if uuid not in self._leased]
            user = partial(self._launchers.of(config).other_user, study_uid=self._facts.study_uid)
            try:
                ours += self._lease_anew(self._leased, others, needed - len(ours), user)
            except LaunchFailed as failure:
                if self._interrupts.requested:
                    raise LeaseGivenUp(str(failure)) from failure
                raise
        return tuple(uuid for uuid in healthy if uuid in ours)[:needed]

    def _lease_anew(
        self,
        uuids: Iterable[str],
        some: Sequence[str] = (),
        count: int = 0,
        user: Callable[[str], str | None] = nobody,
    ) -> tuple[str, ...]:
        """All at once, after giving back what we held: who waits for one and holds another may wait for ever."""
        wanted = sorted(uuids)
        self._leases.close()
        self._leased = set()
        lease = leased(wanted, self._interrupts.wait, self._observer.notice, some=some, count=count, user=user)
        chosen = self._leases.enter_context(lease)
        self._leased = {*wanted, *chosen}
        return chosen

    def before(self, config: ExperimentConfig, place: Place) -> None:
        """Remember what is in use on the GPUs of a run that is about to start."""
        if place.gpu_uuids:
            # Whoever cannot look now cannot start the run either, which is where it is told.
            with suppress(LaunchFailed, NotReadyError):
                self._drain(config).before(place.gpu_uuids)

    def memory_before(self, config: ExperimentConfig, place: Place) -> dict[str, int]:
        """Bytes in use on each GPU of a run before it, as far as they are known."""
        return self._drain(config).before_bytes(place.gpu_uuids)

    def after_another_host(self, config: ExperimentConfig, place: Place, before_bytes: Mapping[str, int]) -> None:
        """`after` of a run that a host before us began, and which knew what was in use before it."""
        self._drain(config).remember(before_bytes)
        self.after(config, place)

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
