"""The test engine as a whole: where it lies, up, down, and who is using it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.version import __version__

from .commands import tell
from .daemon import Daemon
from .gpus import SimulatedGpus
from .images import BASE_IMAGE, BASE_PACKAGES, CODENAME, ImageBuilder, recipe_files
from .packages import WANTED, Apt, Programs, assert_possible, unpacked_programs

REPOSITORY = Path(__file__).resolve().parents[4]
_LOCK = ".lock"
_FORGOTTEN_AFTER_S = 30 * 24 * 3600.0
PYTORCH_IMAGE = f"llem-pytorch:{__version__}"
VLLM_IMAGE = f"llem-vllm:{__version__}"


@dataclass(frozen=True)
class Engine:
    """The engine of everything that has the same Dockerfiles, locks and packages. Its files lie in `folder`."""

    folder: Path

    @classmethod
    def of_this_checkout(cls) -> Engine:
        """Where this checkout's engine lies, be it up or not."""
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(caches / "llem-engine" / _inputs_hash())

    @property
    def daemon(self) -> Daemon:
        """Its Docker daemon."""
        return Daemon(self.folder, self.programs, self.gpus.hook, self.gpus.runtime)

    @property
    def programs(self) -> Programs:
        """The unpacked packages."""
        return Programs(self.folder / "packages")

    @property
    def gpus(self) -> SimulatedGpus:
        """Its simulated GPUs."""
        return SimulatedGpus(self.folder / "gpus")

    @property
    def host(self) -> str:
        """The `DOCKER_HOST` of its daemon."""
        return self.daemon.host

    def client(self, timeout_s: int = 60) -> Any:
        """A `docker.DockerClient` of it; the caller closes it."""
        import docker

        return docker.DockerClient(base_url=self.host, timeout=timeout_s)

    def up(self, environment: Mapping[str, str]) -> None:
        """Bring it up, with everything that is missing. Where it is up, only the overrides that `environment` names
        come into force. Raises EngineImpossible, EngineError."""
        assert_possible()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            os.utime(self.folder / _LOCK)
            begun = time.monotonic()
            apt = Apt(self.folder / "apt")
            programs = unpacked_programs(self.folder / "packages", apt)
            with self.gpus.reserved():
                self.gpus.install(programs, environment)
            self.daemon.start()
            ImageBuilder(self.daemon, REPOSITORY, self.folder / "work", apt).build_all(__version__)
            self._forget_others()
            tell(f"The test engine is up at {self.host} ({time.monotonic() - begun:.0f} s).")

    def down(self) -> bool:
        """Stop it; False where somebody's tests are using it. Images stay for the next time."""
        if not self.folder.exists():
            return True
        with self._alone(), self._unused() as unused:
            if unused:
                self.daemon.stop()
            return unused

    @contextmanager
    def used(self) -> Iterator[None]:
        """While this lasts nobody's `down` stops it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".users").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_SH)
            yield

    def _forget_others(self) -> None:
        """Remove engines of other Dockerfiles and locks that nobody has brought up for long: each is gigabytes."""
        for lock in self.folder.parent.glob(f"*/{_LOCK}"):
            other = Engine(lock.parent)
            if other._forgotten():
                # Looked at again when nobody else is at it: its own `up` may have been first.
                with other._alone(), other._unused() as unused:
                    if unused and other._forgotten():
                        other.daemon.stop()
                        shutil.rmtree(other.folder)

    def _forgotten(self) -> bool:
        return time.time() - (self.folder / _LOCK).stat().st_mtime > _FORGOTTEN_AFTER_S

    @contextmanager
    def _unused(self) -> Iterator[bool]:
        """Whether nobody's tests are using it; while this lasts nobody's begin to."""
        with (self.folder / ".users").open("w") as users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _inputs_hash() -> str:
    files = recipe_files(REPOSITORY)
    sha = hashlib.sha256(f"{CODENAME} {BASE_IMAGE} {BASE_PACKAGES} {WANTED}".encode())
    for file in files:
        sha.update(f"{file.relative_to(REPOSITORY)} {hashlib.sha256(file.read_bytes()).hexdigest()} ".encode())
    return sha.hexdigest()[:12]
