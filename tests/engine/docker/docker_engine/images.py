"""The images of the engine: a base made by mmdebstrap, wheels of the locks, and from both the images of `images/`.

Nothing of this machine is named here: the mirror is the one apt uses, the package index the one pip uses.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from llem.launch.docker.image_recipe import Recipe

from .commands import output_of, tell
from .daemon import Daemon
from .errors import EngineError
from .packages import Apt

CODENAME = "bookworm"
# What `images/system_packages.sh` would install is here already: images are built without a network.
BASE_PACKAGES = ("ca-certificates", "g++", "libnuma1", "make", "python3", "python3-dev", "python3-venv")
BASE_IMAGE = f"llem-base:{CODENAME}"
PYTHON_OF_BASE = "3.11"
INPUTS_LABEL = "org.llem.test-engine.inputs"
_TORCH_CPU_INDEX = os.environ.get("TORCH_CPU_INDEX", "https://download.pytorch.org/whl/cpu")
_INSTALLER_LOCK = "images/installer.lock"
_LOCKS = (
    "images/pytorch/requirements-cpu.lock",
    "images/vllm/requirements-cpu.lock",
    "compose/requirements.lock",
)
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")
# On a tmpfs of its own: no write has to reach the disk, and a killed bootstrap leaves neither files nor mounts.
_ON_TMPFS = 'mount -t tmpfs -o mode=1777 tmpfs "$0" && TMPDIR=$0 exec "$@"'


@dataclass(frozen=True)
class ImageBuilder:
    """Makes images on `daemon` from the checkout at `repository`; what is on its way lies in `work`."""

    daemon: Daemon
    repository: Path
    work: Path
    apt: Apt

    def build_all(self, version: str) -> None:
        """Every image that is not there yet or whose inputs have changed. Raises EngineError."""
        self.work.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(self._base), threads.submit(self._wheels)]
            _, wheels = [result.result() for result in waiting]
        pytorch = self._engine("pytorch", version, wheels, BASE_IMAGE)
        self._engine("vllm", version, wheels, pytorch)

    def _base(self) -> str:
        if self._label(BASE_IMAGE) is not None:
            return BASE_IMAGE
        tell("  base image …")
        self.apt.update()
        archive = self.work / "base.tar"
        # mmdebstrap looks at the end of a name for the format, and writes the file only at its end.
        tmpfs = self.work / "bootstrap"
        tmpfs.mkdir(exist_ok=True)
        command: list[str | Path] = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["sh", "-c", _ON_TMPFS, tmpfs]
        command += ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        output_of([*command, CODENAME, archive, self.apt.mirror(CODENAME)], self._environment())
        self._docker(
            "import", "--change", "ENV LANG=C.UTF-8", "--change", f"LABEL {INPUTS_LABEL}=base", archive, BASE_IMAGE
        )
        archive.unlink()
        return BASE_IMAGE

    def _wheels(self) -> str:
        """An image that holds nothing but the wheels of the locks."""
        image = wheels_image(self.repository)
        if self._label(image) is not None:
            return image
        tell("  wheels …")
        folder = self.work / "wheels"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--python-version", PYTHON_OF_BASE, "--dest", str(folder)]
        # Apart: pip wants hashes of all or of none.
        output_of([*command, "-r", str(self.repository / _INSTALLER_LOCK)])
        for lock in _LOCKS:
            command += ["-r", str(self.repository / lock)]
        try:
            output_of(command)
        except EngineError:
            # Where pip has no CPU build of torch by itself.
            output_of([*command, "--extra-index-url", _TORCH_CPU_INDEX])
        self._import_folder(folder, image)
        shutil.rmtree(folder)
        return image

    def _engine(self, backend: str, version: str, wheels: str, base: str) -> str:
        recipe = Recipe(
            checkout=self.repository,
            backend=backend,
            variant="cpu",
            base=base,
            network="none",
            arguments={"WHEELS_IMAGE": wheels, "INSTALL_FLAGS": "--no-index --find-links /wheels", "VERSION": version},
        )
        image = f"llem-{backend}:{version}"
        runner = sorted((self.repository / "runner").rglob("*.py"))
        inputs = _digest(self.repository, [*recipe_files(self.repository), *runner])
        if self._label(image) == inputs:
            return image
        tell(f"  {image} …")
        self._docker("build", "--label", f"{INPUTS_LABEL}={inputs}", *recipe.options([image]))
        return image

    def _import_folder(self, folder: Path, image: str) -> None:
        archive = subprocess.Popen(["tar", "-C", str(folder), "-c", "."], stdout=subprocess.PIPE)
        command = [str(self.daemon.programs.program("docker")), "--host", self.daemon.host, "import"]
        command += ["--change", f"LABEL {INPUTS_LABEL}=wheels", "-", image]
        with archive:
            done = subprocess.run(
                command, stdin=archive.stdout, env=self._environment(), capture_output=True, text=True
            )
        if archive.returncode != 0 or done.returncode != 0:
            raise EngineError(f"{image} could not be imported: {done.stderr}")

    def _docker(self, *arguments: str | Path) -> None:
        """The engine's own client: it alone is sure to have this daemon's builder."""
        output_of([self.daemon.programs.program("docker"), "--host", self.daemon.host, *arguments], self._environment())

    def _environment(self) -> dict[str, str]:
        own = {"PATH": self.daemon.programs.path(), "HOME": str(self.daemon.folder / "home"), "DOCKER_BUILDKIT": "1"}
        return {**{name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}, **own}

    def _label(self, image: str) -> str | None:
        """What the image was made from; None where there is none."""
        import docker

        client = docker.DockerClient(base_url=self.daemon.host, timeout=60)
        try:
            labels = client.images.get(image).labels
        except docker.errors.ImageNotFound:
            return None
        finally:
            client.close()
        return str(labels.get(INPUTS_LABEL, ""))


def wheels_image(repository: Path) -> str:
    """The name of the image with the wheels of the locks of the checkout at `repository`."""
    return f"llem-wheels:{_digest(repository, [repository / lock for lock in (_INSTALLER_LOCK, *_LOCKS)])}"


def recipe_files(repository: Path) -> list[Path]:
    """What of `images/` the engine's images are made from: of the CPU variant, and nothing that only people read."""
    patterns = ("*.sh", "installer.lock", "*/Dockerfile*", "*/requirements-cpu.lock")
    found = {path for pattern in patterns for path in (repository / "images").glob(pattern)}
    return sorted(found - {repository / "images" / "lock.sh"})


def _digest(repository: Path, files: list[Path]) -> str:
    sha = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        sha.update(f"{file.relative_to(repository)} {len(content)} ".encode() + content)
    return sha.hexdigest()[:16]
