"""docker-compose on the test engine, with everything that one test starts removed after it."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker_engine import BASE_IMAGE, REPOSITORY, Engine, wheels_image

FOLDER = REPOSITORY / "compose"
_PATIENCE_S = 300


class Compose:
    """Compose as a user has it, in a project of its own. `home` is the user's home folder."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.project = f"llem-test-{uuid.uuid4().hex[:8]}"
        self._environment = {
            "PATH": engine.programs.path(),
            "PYTHONPATH": engine.programs.modules(),
            "HOME": str(home),
            "DOCKER_HOST": engine.host,
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_PROJECT_NAME": self.project,
            # The engine has no registry of images, and no network for a build.
            "LLEM_BASE_IMAGE": BASE_IMAGE,
            "LLEM_WHEELS_IMAGE": wheels_image(REPOSITORY),
            "LLEM_INSTALL_FLAGS": "--no-index --find-links /wheels",
            "LLEM_BUILD_NETWORK": "none",
        }

    def __call__(
        self, file: str, *arguments: str | Path, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`docker-compose -f compose/FILE ARGUMENTS`, to its end."""
        return self.of_a_shell("docker-compose", "-f", FOLDER / file, *arguments, cwd=cwd, env=env)

    def of_a_shell(
        self, *command: str | Path, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command as a shell in `cwd` runs it: PWD says where that is."""
        process = self.started(*command, cwd=cwd, env=env)
        with process:
            try:
                stdout, stderr = process.communicate(timeout=_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def started(self, *command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The same, in a process group of its own, while it runs."""
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={**self._environment, "PWD": str(cwd), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def close(self, client: Any) -> None:
        """Remove the project's containers and volumes, whatever state they are in."""
        label = {"label": f"com.docker.compose.project={self.project}"}
        for container in client.containers.list(all=True, filters=label):
            container.remove(force=True, v=True)
        for volume in client.volumes.list(filters=label):
            volume.remove()
