"""Before the first run of a study that begins or goes on: cheap checks first, downloads once all else is well."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from llem.checklist import ENGINE, GPUS, Checklist, Finding
from llem.errors import NotReadyError
from llem.execution.preflight import Inputs, refuse_other_gpus, refuse_without_gpu
from llem.execution.readiness.folder import check_folder
from llem.execution.readiness.gpus import check_count, check_driver, check_in_use
from llem.execution.readiness.memory import check_forecast
from llem.execution.readiness.models import MODELS, check_models
from llem.execution.readiness.needs import Needs
from llem.execution.where import Launchers
from llem.launch.gpu_choice import places_of, usable_gpus
from llem.launch.gpu_facts import GpuMemory
from llem.launch.gpus import installed_gpus, memory_of
from llem.launch.protocol import Place


class Preflight:
    """The checks for one study. `checklist` has what was noted before it, where launchers were made.

    Without `judging` (`execution.skip_preflight`) only that is looked for which runs cannot do without: an engine,
    their images, and the GPUs that they are given.
    """

    def __init__(
        self, needs: Needs, *, judging: bool, fetching: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Without `fetching` nothing is downloaded, and what is not here is not looked at."""
        self.checklist = Checklist(judging, fetching)
        self._needs = needs
        self._clock = clock
        self._began_s = clock()

    def make_ready(
        self,
        launchers: Launchers,
        resumed: str | None = None,
        began_with: Sequence[str] | None = None,
        draining: Collection[str] = (),
    ) -> None:
        """Prepare the launchers, and check all that can be checked.

        Of a study that goes on, `resumed` is its uid, `began_with` the models of the GPUs that it began with (None: not
        known), and `draining` are GPUs that runs of its own may still be leaving.
        Raises MachineNotReady that names everything that is wrong.
        """
        judge = _Judge(self._needs, self.checklist, launchers, draining)
        if self.checklist.judging:
            judge.before_anything()
            self.checklist.before_downloads = judge.gpus_seen
        backends = {config.backend for config in self._needs.experiments.values()}
        launchers.prepare(self._needs.parent, self.checklist, resumed, backends)
        if self.checklist.stands(ENGINE) and self.checklist.stands(GPUS):
            self._check_gpus(launchers, began_with)
        if self.checklist.judging:
            judge.gpus_seen()
            judge.driver()
        self.checklist.raise_if_failed()

    def check_fetched(self, inputs: Inputs, launchers: Launchers) -> list[str]:
        """Check models that were only now made ready; what people should know of them, in lines.

        Raises MachineNotReady.
        """
        checklist = Checklist(self.checklist.judging)
        with checklist.noting(MODELS):
            launchers.check_readable(inputs.folders)
        if checklist.judging and launchers.any_gpu():
            needs = replace(self._needs, inputs=inputs)
            check_forecast(needs, launchers.places(), launchers.gpu_facts().memory, checklist)
        checklist.raise_if_failed()
        return [_line(warning) for warning in checklist.warnings if warning not in self.checklist.findings]

    def told(self) -> Iterator[str]:
        """What people should know of it, in lines."""
        yield from map(_line, self.checklist.warnings)
        if not self.checklist.judging:
            yield "Preflight is skipped, as the study asks: what is wrong with this machine, its runs will tell."
            return
        made = [finding for finding in self.checklist.findings if finding.status != "skipped"]
        yield f"Preflight: {len(made)} checks, {self._clock() - self._began_s:.1f} s."

    def _check_gpus(self, launchers: Launchers, began_with: Sequence[str] | None) -> None:
        with self.checklist.noting(GPUS):
            refuse_without_gpu(self._needs.experiments.values(), gpus=launchers.any_gpu())
        with self.checklist.noting(GPUS):
            refuse_other_gpus(began_with if self._needs.on_gpus else None, launchers.gpu_models())


def _line(warning: Finding) -> str:
    return f"{warning.check}: {warning.message} {warning.remedy}".rstrip()


class _Judge:
    """The checks that only judge. GPUs are judged once, as soon as they are known."""

    def __init__(self, needs: Needs, checklist: Checklist, launchers: Launchers, draining: Collection[str]) -> None:
        self._needs = needs
        self._checklist = checklist
        self._launchers = launchers
        self._draining = draining
        self._knows_gpus = not needs.on_gpus

    def before_anything(self) -> None:
        """All that needs no image: GPUs among it where this host has NVML."""
        check_folder(self._needs, self._checklist)
        check_models(self._needs, self._launchers, self._checklist)
        # Whoever cannot list them is told so where they are asked for.
        with suppress(NotReadyError):
            if not self._knows_gpus:
                gpus = usable_gpus(installed_gpus(), self._needs.gpus, os.environ)
                self._gpus(places_of(gpus), memory_of([gpu.uuid for gpu in gpus]))

    def gpus_seen(self) -> None:
        """GPUs that were listed from inside a container by now."""
        if not self._knows_gpus:
            self._gpus(self._launchers.places(), self._launchers.gpu_facts().memory)

    def driver(self) -> None:
        """The driver, once every image has been looked into."""
        if self._needs.on_gpus and self._launchers.any_gpu():
            check_driver(self._needs, self._launchers.gpu_facts(), self._checklist)

    def _gpus(self, places: Sequence[Place], memory: Mapping[str, GpuMemory]) -> None:
        if not any(place.gpu_uuids for place in places):
            return
        self._knows_gpus = True
        check_count(self._needs, places, self._checklist)
        check_in_use(places, memory, self._draining, self._checklist)
        check_forecast(self._needs, places, memory, self._checklist)
