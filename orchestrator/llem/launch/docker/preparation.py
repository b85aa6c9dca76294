"""Images found, looked into, and pulled where they are missing, in the order in which the worst is cheap to learn.

images that are here → looks into them, and the GPUs → if all is well so far: pulls → looks into what was pulled
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from llem.checklist import Checklist
from llem.launch.docker.engine import Engine, EngineImage
from llem.launch.docker.images import find_image
from llem.launch.docker.look_around import LookAround, noting
from llem.launch.docker.probe import Workplace
from llem.launch.docker.pull import PullsFailed, WantedImage, reference_to_pull
from llem.launch.protocol import LaunchFailed

Pull = Callable[[Sequence[WantedImage]], None]
"""Has every image there, or raises PullsFailed, LaunchFailed."""


class Preparation:
    """Makes the images `wanted`, by backend, ready on an engine. What is wrong is noted in `checklist`.

    `images` has those that were found. Every method raises LaunchFailed where we were asked to end.
    """

    def __init__(
        self, engine: Engine, wanted: Mapping[str, WantedImage], checklist: Checklist, notice: Callable[[str], None]
    ) -> None:
        self.images: dict[str, EngineImage] = {}
        self._engine = engine
        self._wanted = wanted
        self._checklist = checklist
        self._notice = notice
        self._to_pull: list[str] = []

    def find(self) -> None:
        """Find those that need not be pulled."""
        for backend, wanted in self._wanted.items():
            with noting(self._checklist, _check_of(backend)):
                if reference_to_pull(self._engine, wanted) is None:
                    self._find(backend)
                else:
                    self._to_pull.append(backend)

    def look(self, workplace: AbstractContextManager[Workplace], around: LookAround, pull: Pull) -> None:
        """Look into them, `pull` the others, and look into these. NotReadyError where there can be no `workplace`."""
        with workplace as where:
            around.at(where, _distinct(self.images.values()))
            if self._to_pull:
                self._pull(pull)
            pulled = [self.images[backend] for backend in self._to_pull if backend in self.images]
            around.at(where, _distinct(pulled))
            around.end()

    def _pull(self, pull: Pull) -> None:
        never = [backend for backend in self._to_pull if self._wanted[backend].policy == "never"]
        others = [backend for backend in self._to_pull if backend not in never]
        self._pull_these(never, pull)
        self._checklist.before_downloads()
        if self._checklist.failed:
            for backend in others:
                self._checklist.skip(_check_of(backend), "as nothing is pulled while something else is wrong")
        else:
            self._pull_these(others, pull)

    def _pull_these(self, backends: Sequence[str], pull: Pull) -> None:
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
