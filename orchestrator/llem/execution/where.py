"""Where the runs of a study happen: a launcher for each backend, chosen once and kept for all that follows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llem.checklist import ENGINE, GPUS, NO_GPUS, Checklist
from llem.errors import NotReadyError
from llem.execution.image_choice import ImagesHere
from llem.launch.docker import ContainerSettings, DockerLauncher, Progress, PullPolicy, default_image
from llem.launch.engine import engine_answers
from llem.launch.gpu_facts import Driver, GpuFacts
from llem.launch.local import LocalLauncher, missing_packages
from llem.launch.protocol import Launcher, Place
from llem.study.settings import BackendPlace, need_docker
from llem_runner.contract import ExperimentConfig
from llem_runner.contract.result import Image
from llem_runner.contract.strict import Record

LauncherName = Literal["docker", "local"]
_IMAGES_HERE = ImagesHere()


class BackendWhere(Record):
    """Where a backend's runs happen, and in which image (None for the local launcher, which has none)."""

    launcher: LauncherName
    image: str | None = None
    digest: str | None = None
    """What the image's name meant when the study began."""
    pull: PullPolicy = "missing"
    """When the image is pulled."""


@dataclass(frozen=True)
class LaunchOptions:
    """What launchers are made with."""

    containers: ContainerSettings
    gpus: tuple[int | str, ...] | None
    """Those that the study may use; None for all."""
    wants_gpus: bool


class Launchers:
    """The launcher of each backend; several backends may share one."""

    def __init__(self, by_backend: Mapping[str, Launcher], where: Mapping[str, BackendWhere], why: str = "") -> None:
        self._by_backend = dict(by_backend)
        self._why = why
        self._where = dict(where)
        self._images: Mapping[str, Image] = {}

    @property
    def where(self) -> dict[str, BackendWhere]:
        """What is to be remembered of them; complete once they are prepared."""
        return {
            backend: BackendWhere(
                launcher=each.launcher,
                image=self.image(backend).name,
                digest=self.image(backend).digest,
                pull=each.pull,
            )
            for backend, each in self._where.items()
        }

    def of(self, config: ExperimentConfig) -> Launcher:
        """The launcher of an experiment's backend."""
        return self._by_backend[config.backend]

    def image(self, backend: str) -> Image:
        """The image of a backend's runs; of local ones one without a name."""
        return self._images.get(backend) or Image()

    def prepare(
        self, parent: Path, checklist: Checklist, resumed: str | None = None, needed: Collection[str] | None = None
    ) -> None:
        """Make them ready for the backends that are `needed` (None: all); what is wrong is noted in `checklist`.

        `resumed` is the uid of a study that goes on. Raises NotReadyError where we were asked to end.
        """
        images: dict[str, Image] = {}
        named = {backend: each.image for backend, each in self._where.items() if each.image}
        for launcher in self._distinct():
            of_it = [backend for backend, each in self._by_backend.items() if each is launcher]
            if backends := [backend for backend in of_it if needed is None or backend in needed]:
                own = {backend: named[backend] for backend in backends if backend in named}
                images.update(launcher.prepare(backends, own, parent, checklist, resumed))
        self._images = images

    def check_readable(self, folders: Sequence[str]) -> None:
        """Raise NotReadyError where a run could not read one of these model or adapter folders."""
        for launcher in self._distinct():
            launcher.check_readable(folders)

    def gpu_facts(self) -> GpuFacts:
        """What is known of the GPUs that runs can have, and of what their software asks for."""
        facts = [launcher.gpu_facts() for launcher in self._distinct()]
        return GpuFacts(
            memory={uuid: memory for each in facts for uuid, memory in each.memory.items()},
            driver=next((each.driver for each in facts if each.driver.cuda), Driver()),
            cuda_needed={backend: cuda for each in facts for backend, cuda in each.cuda_needed.items()},
        )

    def places(self) -> list[Place]:
        """Where runs can happen, each place once."""
        return list(dict.fromkeys(place for launcher in self._distinct() for place in launcher.capacity()))

    def any_gpu(self) -> bool:
        """Whether any run can have a GPU."""
        return any(place.gpu_uuids for launcher in self._distinct() for place in launcher.capacity())

    def gpu_models(self) -> tuple[str, ...]:
        """The models of the GPUs that runs can have."""
        places = [place for launcher in self._distinct() for place in launcher.capacity()]
        return tuple(dict.fromkeys(place.gpu_model for place in places if place.gpu_model))

    @property
    def engine(self) -> str | None:
        """The id of the container engine, where there is one."""
        return next((each.engine_id for each in self._distinct() if each.engine_id), None)

    @property
    def engine_described(self) -> str | None:
        """The container engine in words, where there is one."""
        return next((each.described for each in self._distinct() if each.name == "docker"), None)

    def keep_runner(self, study_folder: Path, name: str | None) -> str | None:
        """`Launcher.keep_runner`; None where no launcher needs a copy. Raises NotReadyError."""
        names = [launcher.keep_runner(study_folder, name) for launcher in self._distinct()]
        return next(filter(None, names), None)

    def described(self, wants_gpus: bool) -> str:
        """Where runs happen, in one line for people."""
        how = "; ".join(f"runs are {launcher.described}" for launcher in self._distinct())
        places = {place for launcher in self._distinct() for place in launcher.capacity() if place.gpu_model}
        gpus = sorted(f"{len(place.gpu_uuids)} × {place.gpu_model}" for place in places)
        on_cpu = "on the CPU: no NVIDIA GPU was found" if wants_gpus else "on the CPU, as the study asks"
        line = f"{how}, {'on ' + ', '.join(gpus) if gpus and wants_gpus else on_cpu}."
        return f"{self._why}: {line}" if self._why else line[0].upper() + line[1:]

    def clear(self, study_uid: str) -> None:
        """End and remove whatever is left of a study that is ours."""
        for launcher in self._distinct():
            launcher.clear(study_uid)

    def kill(self) -> None:
        """Kill what runs, at once: called from a signal handler."""
        for launcher in self._distinct():
            launcher.kill()

    def close(self) -> None:
        """End whatever of ours still runs."""
        for launcher in self._distinct():
            launcher.close()

    def _distinct(self) -> Iterable[Launcher]:
        return list({id(launcher): launcher for launcher in self._by_backend.values()}.values())


def only(launcher: Launcher, backends: Iterable[str]) -> Launchers:
    """One launcher, given, for all backends."""
    named = list(backends)
    return Launchers(dict.fromkeys(named, launcher), dict.fromkeys(named, BackendWhere(launcher="local")))


@dataclass(frozen=True)
class Choice:
    """Where each backend runs, and what people should know of why (empty: it is as they said)."""

    where: Mapping[str, BackendWhere]
    why: str = ""


def choose_where(
    places: Mapping[str, BackendPlace],
    answers: Callable[[], bool] = engine_answers,
    images: ImagesHere = _IMAGES_HERE,
    missing: Callable[[str], Sequence[str]] = missing_packages,
) -> Choice:
    """What `runners: auto` means on this machine today. Raises NotReadyError where containers are needed in vain.

    Where nothing is `auto`, nobody is asked whether an engine `answers`, nor what packages of a backend are `missing`
    in this Python; where every image is named, or none needed, nobody is asked for `images`.
    """
    auto = [backend for backend, place in places.items() if place.runner == "auto"]
    several = need_docker(places)
    there = bool(auto) and answers()
    if several and not there:
        by_hand = ", ".join(f"{backend}: local" for backend in several)
        raise NotReadyError(
            f"Backends {', '.join(places)} in one study need containers, and no container engine answers. Start one. "
            f"Or, if all of them are installed in this Python, say so: runners: {{{by_hand}}}"
        )
    if several or not auto:
        local = {backend for backend, place in places.items() if place.runner == "local"}
        return Choice({backend: _where(backend, place, backend in local, images) for backend, place in places.items()})
    [(backend, place)] = places.items()
    why = _why_local(backend, place, there, images, missing)
    return Choice({backend: _where(backend, place, bool(why), images)}, why)


def _where(backend: str, place: BackendPlace, local: bool, images: ImagesHere) -> BackendWhere:
    if local:
        return BackendWhere(launcher="local")
    return BackendWhere(launcher="docker", image=images.chosen(backend, place).name, pull=place.pull)


def _why_local(
    backend: str,
    place: BackendPlace,
    answers: bool,
    images: ImagesHere,
    missing: Callable[[str], Sequence[str]],
) -> str:
    """Why `auto` means local here; empty where it means docker."""
    if not answers:
        return "No container engine answers"
    # An image that somebody named is meant; one that nobody named and that would have to be pulled is no reason not to
    # begin, where this Python can do without.
    if place.image is not None or images.has_image(images.chosen(backend, place).name) or missing(backend):
        return ""
    return f"A container engine answers, but has no image {default_image(backend)} (docs/containers.md)"


def open_launchers(
    choice: Choice,
    options: LaunchOptions,
    stop: Callable[[float], bool],
    notice: Callable[[str], None],
    progress: Progress,
    checklist: Checklist,
) -> Launchers:
    """Make the launchers; nothing is started. One that cannot be made is noted in `checklist`, and left out."""
    pinned = {backend: each.digest for backend, each in choice.where.items() if each.digest}
    makers: dict[LauncherName, Callable[[], Launcher]] = {
        "local": lambda: LocalLauncher(wanted=options.gpus),
        "docker": lambda: DockerLauncher(
            options.containers,
            wants_gpus=options.wants_gpus,
            gpus=options.gpus,
            pinned=pinned,
            stop=stop,
            notice=notice,
            pull={backend: each.pull for backend, each in choice.where.items()},
            progress=progress,
        ),
    }
    made: dict[LauncherName, Launcher] = {}
    for name in dict.fromkeys(each.launcher for each in choice.where.values()):
        with checklist.checking(ENGINE if name == "docker" else GPUS) as found:
            launcher = made[name] = makers[name]()
            found(_seen(launcher))
    by_backend = {backend: made[each.launcher] for backend, each in choice.where.items() if each.launcher in made}
    return Launchers(by_backend, choice.where, choice.why)


def _seen(launcher: Launcher) -> str:
    """What there is, for a list of checks."""
    if launcher.name == "docker":
        return launcher.described
    gpus = [f"{len(place.gpu_uuids)} × {place.gpu_model}" for place in launcher.capacity() if place.gpu_model]
    return ", ".join(gpus) or NO_GPUS
