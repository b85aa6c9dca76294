"""Debian's packages of the engine, unpacked into a folder: nothing is installed, no service of the system starts.

apt keeps its lists in the folder too, so that neither old lists of the machine nor none at all are in the way.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .commands import output_of, tell
from .errors import EngineError, EngineImpossible

# The last three are for the tests of `compose/`: Compose, a registry, and what looks after the registry's health.
WANTED = ("containerd", "docker.io", "mmdebstrap", "runc", "tini", "busybox", "docker-compose", "docker-registry")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def assert_possible() -> None:
    """Raise EngineImpossible, with the reason, where this machine cannot have the engine."""
    if os.geteuid() != 0:
        raise EngineImpossible("a Docker daemon of its own needs root")
    missing = [
        program for program in ("apt-get", "dpkg", "unshare", "setsid", "mount") if shutil.which(program) is None
    ]
    if missing:
        raise EngineImpossible(f"it is made of Debian's packages, and this machine has no {', '.join(missing)}")
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/run"],
        capture_output=True,
        text=True,
    )
    if tried.returncode != 0:
        raise EngineImpossible(f"root may not make namespaces and mounts here: {tried.stderr.strip()}")


@dataclass(frozen=True)
class Programs:
    """The unpacked packages below `root`."""

    root: Path

    def path(self) -> str:
        """A PATH on which the engine's programs come first."""
        return f"{self.root}/usr/sbin:{self.root}/usr/bin:{_SYSTEM_PATH}"

    def libraries(self) -> str:
        """An LD_LIBRARY_PATH for the libraries that this machine lacks."""
        triple = f"{platform.machine()}-linux-gnu"
        return f"{self.root}/usr/lib/{triple}:{self.root}/lib/{triple}"

    def modules(self) -> str:
        """A PYTHONPATH for the system's Python: the modules of those programs that are written in it."""
        return f"{self.root}/usr/lib/python3/dist-packages"

    def program(self, name: str) -> Path:
        """The full path of one of them. Raises EngineError where no package brought it."""
        for folder in ("usr/sbin", "usr/bin", "sbin", "bin"):
            if (self.root / folder / name).exists():
                return self.root / folder / name
        raise EngineError(f"none of the packages {', '.join(WANTED)} brought {name}")


class Apt:
    """apt with lists and downloads of its own below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._options = ["-q", "-o", "APT::Sandbox::User=root"]
        self._options += ["-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]

    def update(self) -> None:
        """Fetch the lists that the machine's sources name."""
        for part in ("lists/partial", "cache/archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        output_of(["apt-get", *self._options, "update"])

    def lacking(self) -> list[str]:
        """WANTED, and every package that it needs and this machine does not have."""
        plan = output_of(["apt-get", *self._options, "install", "--simulate", "--no-install-recommends", *WANTED])
        return sorted({*WANTED, *(line.split()[1] for line in plan.splitlines() if line.startswith("Inst "))})

    def download(self, packages: list[str]) -> list[Path]:
        """The packages' files."""
        files = self.folder / "files"
        files.mkdir(exist_ok=True)
        output_of(["apt-get", *self._options, "download", *packages], cwd=files)
        return sorted(files.glob("*.deb"))

    def mirror(self, codename: str) -> str:
        """The address from which this machine takes Debian's release `codename`."""
        conditions = ["Created-By: Packages", f"Codename: {codename}"]
        targets = output_of(["apt-get", *self._options, "indextargets", "--format", "$(REPO_URI)", *conditions])
        if not targets.split():
            raise EngineError(f"none of apt's sources on this machine has {codename}")
        return targets.split()[0]


def unpacked_programs(folder: Path, apt: Apt) -> Programs:
    """The programs below `folder`; downloaded where they are not there yet."""
    if not folder.exists():
        tell("  packages of the engine …")
        apt.update()
        unfinished = folder.with_name(f".{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        for file in apt.download(apt.lacking()):
            output_of(["dpkg", "-x", file, unfinished])
            file.unlink()
        unfinished.rename(folder)
    return Programs(folder)
