"""Images found, looked into, and pulled where they are missing, in the order in which the worst is cheap to learn.

images that are here → looks into them, and the GPUs → if all is well so far: pulls → looks into what was pulled
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

from llem.checklist import Checklist
from llem.launch.docker.engine import Engine, EngineImage
from llem.launch.docker.image_check import check_engines, engines_known
from llem.launch.docker.images import find_image
from llem.launch.docker.inside import Inside
from llem.launch.docker.look_around import LookAround, WantedGpus, noting
from llem.launch.docker.probe import Workplace
from llem.launch.docker.pull import PullsFailed, WantedImage, reference_to_pull
from llem.launch.docker.ready import ready
from llem.launch.gpu_facts import CudaVersion, GpuFacts, cuda_needed
from llem.launch.gpus import Gpu, driver, memory_of
from llem.launch.protocol import LaunchFailed

Pull = Callable[[Sequence[WantedImage]], None]
"""Has every image there, or raises PullsFailed, LaunchFailed."""


class Preparation:
    """Makes the images `wanted`, by backend, ready on an engine, and finds the GPUs of their containers.

    What is wrong is noted in `checklist`. `images` are those that were found so far.
    """

    def __init__(
        self,
        engine: Engine,
        inside: Inside,
        wanted: Mapping[str, WantedImage],
        gpus: WantedGpus | None,
        checklist: Checklist,
        notice: Callable[[str], None],
    ) -> None:
        self.images: dict[str, EngineImage] = {}
        self._engine = engine
        self._inside = inside
        self._wanted = wanted
        self._checklist = checklist
        self._notice = notice
        self._around = LookAround(inside, gpus, checklist)
        self._to_pull: list[str] = []

    @property
    def gpus(self) -> list[Gpu]:
        """The GPUs that runs can have, as far as they are found."""
        return self._around.gpus

    def make(self, workplace: AbstractContextManager[Workplace], pull: Pull) -> None:
        """All of it, with looks made in `workplace`. Raises NotReadyError where we were asked to end."""
        ready(self._find_those_here)
        with self._checklist.checking("study folders"):
            ready(partial(self._look_and_pull, workplace, pull))
        self._around.end()
        for backend, image in self.images.items():
            # Also where the look at the container found something missing: all of it is told at once.
            if self._checklist.judging and engines_known(self._inside, image):
                self._check_packages(backend, image)

    def gpu_facts(self) -> GpuFacts:
        """By NVML of the host; where it has none, as seen from inside a container."""
        seen = list(self._inside.reports.values())
        uuids = [gpu.uuid for gpu in self.gpus]
        inside = {uuid: memory for report in seen for uuid, memory in report.memory.items() if uuid in uuids}
        return GpuFacts(
            memory=memory_of(uuids) or inside,
            driver=next((report.driver for report in seen if report.driver.cuda), driver()),
            cuda_needed={backend: cuda for backend, image in self.images.items() if (cuda := self._cuda(image))},
        )

    def _check_packages(self, backend: str, image: EngineImage) -> None:
        check = f"packages of {backend}"
        with noting(self._checklist, check):
            check_engines(self._inside, {backend: image}, partial(self._checklist.warn, check))
            self._checklist.ok(check)

    def _cuda(self, image: EngineImage) -> CudaVersion | None:
        facts = self._inside.facts_known(image)
        return cuda_needed(image.environment, facts.torch_cuda if facts else None)

    def _find_those_here(self) -> None:
        for backend, wanted in self._wanted.items():
            with noting(self._checklist, _check_of(backend)):
                if reference_to_pull(self._engine, wanted) is None:
                    self._find(backend)
                else:
                    self._to_pull.append(backend)

    def _look_and_pull(self, workplace: AbstractContextManager[Workplace], pull: Pull) -> None:
        with workplace as where:
            self._around.at(where, _distinct(self.images.values()))
            if self._to_pull:
                self._pull(pull)
                pulled = [self.images[backend] for backend in self._to_pull if backend in self.images]
                self._around.at(where, _distinct(pulled))

    def _pull(self, pull: Pull) -> None:
        never = [backend for backend in self._to_pull if self._wanted[backend].policy == "never"]
        others = [backend for backend in self._to_pull if backend not in never]
        self._pull_these(never, pull)
        self._checklist.before_downloads()
        if not self._checklist.fetching:
            self._skip(others, "as it is not here yet: it is pulled before the first run that needs it")
        elif self._checklist.failed:
            self._skip(others, "as nothing is pulled while something else is wrong")
        else:
            self._pull_these(others, pull)

    def _skip(self, backends: Sequence[str], why: str) -> None:
        for backend in backends:
            self._checklist.skip(_check_of(backend), f"{why} ({self._wanted[backend].name})")

    def _pull_these(self, backends: Sequence[str], pull: Pull) -> None:
        """With `pull: never`, `pull` says that they are missing."""
        if not backends:
            return
        failures: dict[str, LaunchFailed] = {}
        try:
            pull([self._wanted[backend] for backend in backends])
        except PullsFailed as failed:
            failures = dict(failed.failures)
        except LaunchFailed as failure:
            failures = {self._wanted[backend].name: failure for backend in backends}
        for backend in backends:
            with noting(self._checklist, _check_of(backend)):
                if why := failures.get(self._wanted[backend].name):
                    raise why
                self._find(backend)

    def _find(self, backend: str) -> None:
        wanted = self._wanted[backend]
        image = self.images[backend] = find_image(self._engine, wanted.name, wanted.digest, self._notice)
        self._checklist.ok(_check_of(backend), f"{image.name} ({image.digest})")


def _check_of(backend: str) -> str:
    return f"image of {backend}"


def _distinct(images: Iterable[EngineImage]) -> list[EngineImage]:
    return list(dict.fromkeys(images))
