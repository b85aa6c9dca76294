"""What is seen inside containers of an engine: whether an image will do, which GPUs there are, what memory they use."""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from llem.launch.docker.engine import Engine, EngineImage, Json
from llem.launch.docker.faults import LIMIT_REFUSED
from llem.launch.docker.gpu_access import gpu_access
from llem.launch.docker.image_facts import ImageFacts
from llem.launch.docker.image_names import architecture_of
from llem.launch.docker.known_images import KnownImages
from llem.launch.docker.mounts import check_shown
from llem.launch.docker.probe import Seen, Workplace, look_inside, probe_report
from llem.launch.docker.request import EXCHANGE, Caller, ContainerSettings, GpuDriver, Gpus, Shown, container_request
from llem.launch.docker.verdict import findings_of, in_words, missing_of, unusable
from llem.launch.gpu_choice import usable_gpus
from llem.launch.gpu_probe import ProbeReport
from llem.launch.gpus import Gpu, Installed, driver_installed, installed_gpus
from llem.launch.protocol import LaunchFailed


class Inside:
    """Containers as one engine makes them for one caller, and short looks around in them.

    `stop(seconds)` waits and says whether we were asked to end.
    """

    def __init__(
        self, engine: Engine, settings: ContainerSettings, caller: Caller, stop: Callable[[float], bool]
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._caller = caller
        self._stop = stop
        self._facts = engine.facts
        self._known = KnownImages()
        self._driver: GpuDriver = "nvidia"
        self.reports: dict[str, ProbeReport] = {}
        """What was last seen in each image, by its id."""

    @property
    def architecture(self) -> str:
        """What the engine's machine executes, as images call it: `amd64`, `arm64`."""
        return architecture_of(self._facts.architecture)

    def facts_known(self, image: EngineImage) -> ImageFacts | None:
        """What a look inside an image, this one's or an earlier one's, found of it; None where there was none."""
        return self._known.get(image.id, self._caller.inside(self._facts)[0])

    def gpus_named(self, uuids: Sequence[str]) -> Gpus | None:
        """What to ask the engine for, to be given these GPUs; None for none."""
        return Gpus(self._driver, tuple(uuids)) if uuids else None

    def find_gpus(
        self, where: Workplace, image: EngineImage, wanted: Sequence[int | str] | None, environment: Mapping[str, str]
    ) -> list[Gpu]:
        """The GPUs that containers can have and that are `wanted` (None: all that CUDA_VISIBLE_DEVICES leaves).

        Raises LaunchFailed, and NotReadyError where one of them is not there.
        """
        look = partial(self.look, where, image)
        access = partial(gpu_access, look, self._settings.gpu_driver, self._facts)
        installed = installed_gpus(environment)
        if installed == Installed():
            there, self._driver = access([], driver_installed)
            return usable_gpus(Installed(tuple(there)), wanted, environment)
        if not (chosen := usable_gpus(installed, wanted, environment)):
            look(None)
            return []
        there, self._driver = access(chosen, driver_installed)
        return there

    def memory_used(self, where: Workplace, image: EngineImage, uuids: Sequence[str]) -> Mapping[str, int | None]:
        """Memory in use on each GPU, in bytes; None for one that does not tell. Raises LaunchFailed."""
        report = self.look(where, image, self.gpus_named(uuids))
        return {uuid: report.memory_used.get(uuid) for uuid in uuids}

    def look(self, where: Workplace, image: EngineImage, gpus: Gpus | None) -> ProbeReport:
        """What is seen inside. Raises LaunchFailed, also where the image has not what every run needs."""
        seen = self.look_at(where, image, gpus)
        if missing := missing_of(findings_of(image, seen, (), self.architecture)):
            raise unusable(image, missing)
        self.reports[image.id] = probe_report(where)
        return self.reports[image.id]

    def look_at(self, where: Workplace, image: EngineImage, gpus: Gpus | None = None) -> Seen:
        """What is seen of an image, which may lack all it should have. Raises LaunchFailed where the engine refuses.

        An engine that cannot raise limits is from then on asked for no more than we have.
        """
        try:
            return self._look_once(where, image, gpus)
        except LaunchFailed as failure:
            if LIMIT_REFUSED not in failure.message or self._facts.memlock_bytes != -1:
                raise in_words(image, self.architecture, failure) from failure
        self._facts = replace(self._facts, memlock_bytes=resource.getrlimit(resource.RLIMIT_MEMLOCK)[1])
        return self._look_once(where, image, gpus)

    def request(
        self,
        image: EngineImage,
        arguments: Sequence[str],
        shown: Sequence[Shown],
        gpus: Gpus | None,
        labels: dict[str, str],
    ) -> Json:
        """The request for a container. Raises LaunchFailed where it cannot be shown what it should see."""
        check_shown(shown, self._facts)
        return container_request(
            image=image,
            arguments=arguments,
            shown=shown,
            gpus=gpus,
            labels=labels,
            settings=self._settings,
            facts=self._facts,
            caller=self._caller,
        )

    def _look_once(self, where: Workplace, image: EngineImage, gpus: Gpus | None) -> Seen:
        def request(where: Workplace, image: EngineImage) -> Json:
            return self.request(image, ("probe", EXCHANGE), where.shown, gpus, where.labels)

        seen = look_inside(self._engine, image, where, request, self._stop)
        if seen.look:
            self._known.put(image.id, seen.look.image)
        return seen
