"""The connection to a container engine: who it is, and its calls, each with a time-out and an error in our words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

from llem.launch.docker.faults import NO_ANSWER, ContainerGone, engine_errors, refused
from llem.launch.docker.image_names import digest_for
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind
from llem_runner.contract.result import Image

CALL_S = 60
"""The time-out of a call."""
_BRISK_S = 15
"""For calls within a run: it is followed meanwhile, and somebody may have pressed Ctrl-C and wait for the end of it."""
_SILENT_S = 5
"""For those after a call that got no answer."""
_OLDEST_API = (1, 40)
"""Docker 19.03, the first with device requests."""

_MOST_LOG_LINES = 200_000
_CREATING, _STARTING = "The container could not be created", "The container could not be started"
ENDED_STATES = ("exited", "dead")
CONTRACT_LABEL = "org.llem.contract"

Json = dict[str, Any]


@dataclass(frozen=True)
class EngineFacts:
    """What decides how containers are asked for."""

    name: str
    """For people: `Docker 27.3.1`."""
    memory_bytes: int
    id: str = ""
    """Its own, for as long as its data lives; empty where it has none (Podman makes one up for each answer)."""
    rootless: bool = False
    userns: bool = False
    """Whether users of its containers are others on the host (userns-remap)."""
    selinux: bool = False
    podman: bool = False
    cdi: bool = False
    """Whether it can inject devices by the names of the Container Device Interface."""
    memlock_bytes: int = -1
    """Memory that a container may lock, as pinned buffers are; -1: all. An engine without full rights gives less."""
    architecture: str = ""
    """What it runs natively: `amd64`, `arm64`."""
    data_root: str = ""
    """Where it keeps images, on its own machine."""
    api_version: str = ""


@dataclass(frozen=True)
class EngineImage:
    """An image that the engine has. Containers are made from `id`: a tag may move while a study runs."""

    name: str
    id: str
    digest: str
    """That of the registry it came from; of one that was built here, its id."""
    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    from_registry: bool = False
    """Whether the digest is one by which a registry knows it."""
    architecture: str = ""
    size_bytes: int = 0
    """Unpacked, as the engine counts it."""
    created: str = ""
    """When it was built (RFC 3339)."""
    contract: str | None = None
    """The version of the contract of the runner that it carries, from its label."""
    tags: tuple[str, ...] = ()
    """All names that it has on the engine."""

    @property
    def described(self) -> Image:
        """As results name it."""
        return Image(name=self.name, digest=self.digest)


class Engine:
    """An engine that answered. Every method raises LaunchFailed where it does not (any more).

    One that once gave no answer in time is asked a short question before every further call, until it has answered one:
    a study is ended by a dozen of them, and somebody waits for that.
    """

    def __init__(self, client: Any, brisk: Any, facts: EngineFacts, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._brisk = brisk
        self._brisk_s = brisk.timeout
        self._now = now
        self._silent = False
        self._asked_in_vain_s: float | None = None
        self.facts = facts

    @classmethod
    def connect(cls, timeout_s: int = CALL_S) -> Engine:
        """The engine that docker's own client would use. Raises LaunchFailed of kind engine_unreachable."""
        import docker

        where = os.environ.get("DOCKER_HOST") or "docker's default socket or context"
        with engine_errors(f"No container engine answers at {where}"):
            client = docker.from_env(version="auto", timeout=timeout_s).api
            version = client.version()
            if _version_numbers(str(version.get("ApiVersion", "0"))) < _OLDEST_API:
                raise LaunchFailed(
                    FailureKind.ENGINE_UNREACHABLE,
                    f"The engine at {where} speaks API {version.get('ApiVersion')}: too old for GPU requests. "
                    "Docker 19.03 or newer is needed.",
                )
            brisk = docker.from_env(version=client.api_version, timeout=min(timeout_s, _BRISK_S)).api
            return cls(client, brisk, _facts(version, client.info(), str(client.api_version)))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
        self._brisk.close()

    def answers(self) -> bool:
        """Whether it answers now."""
        return self._answers_again() if self._silent else self._ping()

    def image(self, name: str) -> EngineImage:
        """What the engine has under a name, or an id. Raises LaunchFailed of kind image_missing."""
        with self._calling(f"Image {name} cannot be used"):
            found = self._client.inspect_image(name)
        config = found.get("Config") or {}
        digest = digest_for(name, found.get("RepoDigests") or [])
        return EngineImage(
            name=name,
            id=str(found["Id"]),
            digest=digest or str(found["Id"]),
            environment=tuple(config.get("Env") or ()),
            volumes=tuple(config.get("Volumes") or ()),
            from_registry=digest is not None,
            architecture=str(found.get("Architecture") or ""),
            size_bytes=int(found.get("Size") or 0),
            created=str(found.get("Created") or ""),
            contract=(config.get("Labels") or {}).get(CONTRACT_LABEL),
            tags=tuple(found.get("RepoTags") or ()),
        )

    def create(self, request: Json, name: str) -> str:
        """Create a container; its id. One of that name that is there already is ours: a call before us timed out."""
        try:
            with self._calling(_CREATING):
                return str(self._client.create_container_from_config(request, name)["Id"])
        except ContainerGone as gone:
            # It is not there yet: another one is meant, as by the network `container:NAME`.
            raise refused(FailureKind.IMAGE_UNUSABLE, _CREATING, str(gone)) from gone
        except LaunchFailed as failure:
            # The engine may have done what it did not tell us in time, and refuses the name the next time.
            with suppress(ContainerGone, LaunchFailed):
                return str(self.inspect(name)["Id"])
            raise failure from failure.__cause__

    def start(self, container: str) -> None:
        """Start it; nothing happens where it was started before: a call that timed out may have done its work."""
        if self.inspect(container)["State"]["Status"] == "created":
            try:
                with self._calling(_STARTING):
                    self._client.start(container)
            except ContainerGone as gone:
                self.inspect(container)
                raise refused(FailureKind.IMAGE_UNUSABLE, _STARTING, str(gone)) from gone

    def inspect(self, container: str) -> Json:
        """Everything the engine knows of it. Raises ContainerGone."""
        with self._calling("The container cannot be looked at"):
            return cast(Json, self._quick.inspect_container(container))

    def pids(self, container: str) -> frozenset[int]:
        """Its processes, by the ids of the engine's machine. Raises ContainerGone."""
        with self._calling("The container's processes cannot be listed"):
            found = self._quick.top(container)
        column = found["Titles"].index("PID")
        return frozenset(int(row[column]) for row in found["Processes"] or ())

    def stop(self, container: str, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s`; a paused one goes on first, or nothing would reach it."""
        with self._calling("The container could not be stopped"):
            self._quick.stop(container, timeout=max(0, round(grace_s)))

    def unpause(self, container: str) -> None:
        """Let a paused one go on."""
        with self._calling("The container could not be unpaused"):
            self._quick.unpause(container)

    def kill(self, container: str) -> None:
        """SIGKILL."""
        with self._calling("The container could not be killed"):
            self._quick.kill(container)

    def wait(self, container: str, patience_s: float) -> None:
        """Until it has ended."""
        with self._calling("The container does not end"):
            self._quick.wait(container, timeout=patience_s)

    def logs(self, container: str) -> bytes:
        """What it printed, both streams, as they came; the last part of it, where it is much."""
        # Not as a stream: the SDK takes the time-out off those. The log driver's own cap bounds what comes.
        with self._calling("The container's log cannot be read"):
            return bytes(self._quick.logs(container, stdout=True, stderr=True, tail=_MOST_LOG_LINES))

    def remove(self, container: str) -> None:
        """Remove it with its anonymous volumes, running or not; nothing happens where it is gone, or going."""
        try:
            with self._calling("The container could not be removed"):
                (self._quick if self._silent else self._client).remove_container(container, force=True, v=True)
        except ContainerGone:
            return
        except LaunchFailed as failure:
            if "already in progress" not in failure.message:
                raise

    def containers(self, labels: Mapping[str, str | None]) -> Sequence[Json]:
        """Containers in any state that carry all of these labels; None for one of whatever value."""
        wanted = [name if value is None else f"{name}={value}" for name, value in labels.items()]
        client = self._quick if self._silent else self._client
        with self._calling("The containers cannot be listed"):
            return cast(Sequence[Json], client.containers(all=True, filters={"label": wanted}))

    @property
    def _quick(self) -> Any:
        """The connection for calls that take an engine no time; it waits least for an engine that is silent."""
        self._brisk.timeout = min(self._brisk_s, _SILENT_S) if self._silent else self._brisk_s
        return self._brisk

    @contextmanager
    def _calling(self, doing: str) -> Iterator[None]:
        """`engine_errors`; of an engine that is silent it raises at once."""
        if self._silent and not self._answers_again():
            raise refused(FailureKind.ENGINE_UNREACHABLE, doing, NO_ANSWER)
        try:
            with engine_errors(doing):
                yield
        except (LaunchFailed, ContainerGone) as failure:
            self._silent = NO_ANSWER in str(failure)
            raise
        self._silent = False

    def _answers_again(self) -> bool:
        """Asked once in a while: each answer that does not come takes its time, too."""
        if self._asked_in_vain_s is not None and self._now() - self._asked_in_vain_s < _SILENT_S:
            return False
        answers = self._ping()
        self._asked_in_vain_s = None if answers else self._now()
        return answers

    def _ping(self) -> bool:
        with suppress(LaunchFailed), engine_errors("ping"):
            return bool(self._quick.ping())
        return False


def _facts(version: Json, info: Json, api_version: str) -> EngineFacts:
    components = [str(each.get("Name", "")) for each in version.get("Components") or []]
    podman = any("podman" in name.lower() for name in components)
    options = [str(option) for option in info.get("SecurityOptions") or []]
    return EngineFacts(
        name=f"{'Podman' if podman else 'Docker'} {version.get('Version', '')}".strip(),
        id="" if podman else str(info.get("ID") or ""),
        memory_bytes=int(info.get("MemTotal") or 0),
        rootless=any("name=rootless" in option for option in options),
        userns=any("name=userns" in option for option in options),
        selinux=any("name=selinux" in option for option in options),
        podman=podman,
        cdi=podman or bool(info.get("CDISpecDirs")),
        architecture=str(version.get("Arch") or ""),
        data_root=str(info.get("DockerRootDir") or ""),
        api_version=api_version,
    )


def _version_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
