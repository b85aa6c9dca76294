"""The Docker launcher: one container a run, on the engine of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from llem.checklist import Checklist
from llem.ended import Ended
from llem.errors import NotReadyError
from llem.launch.docker.container import Container
from llem.launch.docker.engine import Engine, EngineImage
from llem.launch.docker.faults import ContainerGone
from llem.launch.docker.folders import check_weights_readable, give_out, shown_runner
from llem.launch.docker.image_names import default_image
from llem.launch.docker.inside import Inside
from llem.launch.docker.leftovers import gpus_of, labels_of, other_user, remove_leftovers, remove_of_study
from llem.launch.docker.look_around import WantedGpus
from llem.launch.docker.mounts import check_volumes
from llem.launch.docker.patience import Patience, Patiently
from llem.launch.docker.preparation import Preparation
from llem.launch.docker.probe import workplace
from llem.launch.docker.pull import Progress, PullPolicy, WantedImage, pull_missing, unseen
from llem.launch.docker.ready import ready
from llem.launch.docker.request import EXCHANGE, Caller, ContainerSettings, Shown
from llem.launch.docker.runs import Runs, shown_to_run
from llem.launch.gpu_choice import places_of
from llem.launch.gpu_facts import GpuFacts
from llem.launch.gpus import Gpu, memory_used
from llem.launch.protocol import Attempt, LaunchFailed, Place, Poll
from llem.launch.shared_folder import polled
from llem.version import __version__
from llem_runner.contract import ExchangeFolder, FailureKind
from llem_runner.contract.result import Image

_NOT_THE_GPU = (FailureKind.ENGINE_UNREACHABLE, FailureKind.DISK, FailureKind.IMAGE_MISSING)
"""Why a look at a GPU's memory may fail without anything being wrong with the GPU."""
_KILL_WITHIN_S = 10
_PATIENCE = Patience()


class DockerLauncher:
    """Runs happen in containers."""

    name = "docker"
    survives_host = True

    def __init__(
        self,
        settings: ContainerSettings,
        *,
        wants_gpus: bool,
        gpus: Sequence[int | str] | None = None,
        pinned: Mapping[str, str] | None = None,
        stop: Callable[[float], bool],
        notice: Callable[[str], None],
        pull: Mapping[str, PullPolicy] | None = None,
        progress: Progress = unseen,
        environment: Mapping[str, str] = os.environ,
        patience: Patience = _PATIENCE,
        connect: Callable[..., Engine] = Engine.connect,
    ) -> None:
        """`gpus` are those the study may use (None: all), `pinned` the digests that a study began with, by backend.

        `pull` says by backend when images are pulled (missing, where it says nothing), `progress` hears how that goes.
        `stop(seconds)` waits and says whether we were asked to end; `notice` is for lines that people should see;
        `connect` finds the engine, as `Engine.connect` does.
        Raises NotReadyError where no engine answers.
        """
        self._wants_gpus = wants_gpus
        self._wanted = gpus
        self._pinned = pinned or {}
        self._pull = pull or {}
        self._progress = progress
        self._stop = stop
        self._notice = notice
        self._environment = environment
        self._patience = patience
        self._caller = Caller(os.geteuid(), os.getegid(), tuple(os.getgroups()))
        self._connect = connect
        self._engine = ready(connect)
        self._facts = self._engine.facts
        self._owner = self._caller.inside(self._facts)
        self._inside = Inside(self._engine, settings, self._caller, stop)
        self._patiently = Patiently(patience.start_s, stop, notice)
        self._prepared: Preparation | None = None
        self._parent = Path()
        self._runner: Shown | None = None
        self._runs = Runs(self._engine)

    @property
    def _images(self) -> Mapping[str, EngineImage]:
        return self._prepared.images if self._prepared else {}

    @property
    def _gpus(self) -> Sequence[Gpu]:
        return self._prepared.gpus if self._prepared else ()

    @property
    def engine_id(self) -> str | None:
        """The engine's own."""
        return self._facts.id or None

    @property
    def described(self) -> str:
        """How runs happen, for people."""
        names = ", ".join(dict.fromkeys(image.name for image in self._images.values()))
        if not names:
            return f"containers ({self._facts.name}, API {self._facts.api_version})"
        return f"containers of {names} ({self._facts.name})"

    def prepare(
        self,
        backends: Sequence[str],
        images: Mapping[str, str],
        parent: Path,
        checklist: Checklist,
        resumed: str | None = None,
    ) -> Mapping[str, Image]:
        """Remove what dead hosts of ours left, pull and find the images, look around inside each, and list the GPUs."""
        self._parent = parent
        ready(partial(remove_leftovers, self._engine, self._caller.uid, self._notice, resumed))
        wanted = {backend: self._wanted_image(backend, images.get(backend)) for backend in backends}
        gpus = WantedGpus(self._wanted, self._environment) if self._wants_gpus else None
        self._prepared = Preparation(self._engine, self._inside, wanted, gpus, checklist, self._notice)
        self._prepared.make(workplace(parent, self._owner), self._have_pulled)
        return {backend: image.described for backend, image in self._images.items()}

    def gpu_facts(self) -> GpuFacts:
        """Of the GPUs that containers were given, and of what is in the images."""
        return self._prepared.gpu_facts() if self._prepared else GpuFacts()

    def keep_runner(self, study_folder: Path, name: str | None) -> str:
        """Copy ours into the study's folder; a study that goes on has one there, unless somebody removed it."""
        try:
            self._runner = shown_runner(study_folder, name)
        except OSError as error:
            raise NotReadyError(f"{study_folder}: the runner cannot be copied there ({error.strerror}).") from error
        kept = self._runner.outside.name
        if name is not None and kept != name:
            self._notice(
                f"The copy of the runner that this study used ({name}) is gone, or of another version: runs go on with "
                f"that of llem {__version__} ({kept}). Results of before and after may differ for that reason alone."
            )
        return kept

    def check_readable(self, folders: Sequence[str]) -> None:
        """Models and adapters are mounted as they are: whoever runs inside has to be able to read them."""
        mounted = [folder for folder in folders if folder.startswith("/")]
        for folder in mounted:
            check_weights_readable(folder, self._owner[0])
        for image in self._images.values() if mounted else ():
            ready(partial(check_volumes, image))

    def capacity(self) -> list[Place]:
        """One place for each GPU model, or the CPU."""
        return places_of(self._gpus)

    def start(self, attempt: Attempt, place: Place) -> str:
        """Create and start the run's container; an engine that is away for a moment is waited for."""
        self._runs.tidy()
        image = self._images[attempt.config.backend]
        runner = self._runner or shown_runner(attempt.study_folder)
        shown, allocation, warm = shown_to_run(attempt, place, image, runner, self._owner)
        exchange = ExchangeFolder(attempt.folder)
        exchange.allocation.write_text(allocation.model_dump_json(indent=2) + "\n")
        give_out(attempt.folder, self._owner)
        gpus = self._inside.gpus_named(place.gpu_uuids)
        labels = labels_of(attempt, self._caller.uid, place.gpu_uuids)
        request = self._inside.request(image, (EXCHANGE,), shown, gpus, labels)
        record = {
            "engine": self._facts.name,
            "gpu_driver": gpus.driver if gpus else None,
            "cache": "warm" if warm else "cold",
        }
        self._runs.add(self._container(attempt, place.gpu_uuids), attempt.folder, record)
        try:
            self._patiently(lambda: self._engine.start(self._engine.create(request, attempt.handle)))
        except (LaunchFailed, ContainerGone) as error:
            self._runs.discard(attempt.handle)
            if isinstance(error, ContainerGone):
                raise LaunchFailed(FailureKind.KILLED, "The container was removed before it began.") from error
            raise
        return attempt.handle

    def find(self, attempt: Attempt) -> str | None:
        """The container of this attempt, running or ended, that a dead host has left. Raises NotReadyError."""
        try:
            # Where nobody can tell, the run may still go on: it must not be made to share its GPU with a second one.
            found = ready(lambda: self._patiently(lambda: self._engine.inspect(attempt.handle)))
        except ContainerGone:
            return None
        if found["State"]["Status"] == "created":
            # That host died before it could start it: nothing will ever come of it.
            return None
        container = self._container(attempt, gpus_of(found["Config"]["Labels"]))
        self._runs.add(container, attempt.folder, {"engine": self._facts.name})
        return attempt.handle

    def poll(self, handle: str, offset: int) -> Poll:
        """New events, and how the container ended once it has."""
        run = self._runs[handle]
        return polled(run.folder, offset, run.container.look())

    def collect(self, handle: str) -> None:
        """The folder is shared: the log is kept, and the container removed."""
        self._runs.collect(handle)

    def record(self, handle: str) -> dict[str, Any]:
        """Engine, image and container of a run."""
        run = self._runs[handle]
        return {**run.record, "container": run.container.record()}

    def stop(self, handle: str, grace_s: float) -> Ended:
        """SIGTERM, then SIGKILL."""
        return self._runs[handle].container.stop(grace_s)

    def memory_used(self, gpu_uuids: Sequence[str]) -> Mapping[str, int | None]:
        """By NVML of the host; where it has none, by a look from inside a container."""
        used = memory_used(gpu_uuids)
        if not gpu_uuids or any(value is not None for value in used.values()):
            return used
        if not self._images:
            raise LaunchFailed(FailureKind.IMAGE_MISSING, "No image is there to look from.")
        image = next(iter(self._images.values()))
        with workplace(self._parent, self._owner, self._runner) as where:
            try:
                return self._patiently(partial(self._inside.memory_used, where, image, gpu_uuids))
            except LaunchFailed as failure:
                if failure.kind in _NOT_THE_GPU:
                    raise
                return used

    def other_user(self, gpu_uuid: str, study_uid: str) -> str | None:
        """A container that outlived its llem, whoever's that was."""
        return self._patiently(
            lambda: other_user(self._engine, gpu_uuid, study_uid, self._caller.uid, self._notice),
        )

    def pids(self, handle: str) -> frozenset[int] | None:
        """As the engine's machine numbers them."""
        # A table without a column of ids is no answer either.
        with suppress(LaunchFailed, ContainerGone, KeyError, ValueError):
            return self._engine.pids(handle)
        return None

    def clear(self, study_uid: str) -> None:
        """Remove every container of a study."""
        self._runs.remove_what_is_left()
        # Whoever waits for the end of a study should not wait for one call after the other to get no answer.
        if self._engine.answers():
            remove_of_study(self._engine, study_uid, self._caller.uid, self._notice)

    def kill(self) -> None:
        """Kill what runs, over a connection of its own: the other one may be in use by whoever was interrupted."""
        with suppress(LaunchFailed):
            engine = self._connect(timeout_s=_KILL_WITHIN_S)
            for handle in self._runs.not_collected():
                with suppress(LaunchFailed, ContainerGone):
                    engine.kill(handle)
            engine.close()

    def close(self) -> None:
        """Remove what of ours is still there, running or not."""
        self._runs.close()
        self._engine.close()

    def _have_pulled(self, wanted: Sequence[WantedImage]) -> None:
        pull_missing(self._engine, wanted, self._progress, self._stop, self._notice)

    def _wanted_image(self, backend: str, name: str | None) -> WantedImage:
        policy = self._pull.get(backend, "missing")
        return WantedImage(name or default_image(backend), policy, self._pinned.get(backend))

    def _container(self, attempt: Attempt, gpu_uuids: Sequence[str]) -> Container:
        return Container(self._engine, attempt.handle, attempt.folder, self._patience, self._notice, gpu_uuids)
