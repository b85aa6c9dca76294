"""Docker's own command, for what its SDK cannot do: builds by BuildKit, and what buildx attests about them."""

from __future__ import annotations

import os
import re
import subprocess
from collections import deque
from collections.abc import Callable, Sequence

from llem.errors import NotReadyError
from llem.printable import on_one_line

_LAST_LINES = 20
_STEP = re.compile(r"#\d+ (\[.*?\d+/\d+\] .*)")
_DRIVER = re.compile(r"^Driver:\s*(\S+)", re.MULTILINE)


def docker(arguments: Sequence[str], doing: str, step: Callable[[str], None]) -> None:
    """Run `docker ARGUMENTS…`, and tell each step of a build. Raises NotReadyError with the last it said.

    `doing` is what failed then: "llem-pytorch:0.1.0-cpu could not be built".
    """
    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        with subprocess.Popen(
            ["docker", *arguments],
            # Docker before 23 has two builders, and takes the other one.
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                last.append(on_one_line(line.rstrip()))
                if hit := _STEP.match(last[-1]):
                    step(hit[1])
    except OSError as error:
        raise NotReadyError(
            f"{doing}: the `docker` command cannot be started ({error.strerror}). Images are built by BuildKit, which "
            "is reached through it alone: install Docker's command (docker-cli), with its buildx from 23 on."
        ) from error
    if process.returncode != 0:
        said = "\n".join(["", *last]) if last else " It said nothing."
        raise NotReadyError(f"{doing}: docker {arguments[0]} ended with {process.returncode}.{said}")


def why_not_attested() -> str:
    """Why this docker cannot say how an image was made (provenance) and of what (SBOM); empty where it can."""
    try:
        done = subprocess.run(["docker", "buildx", "inspect"], capture_output=True, text=True, errors="replace")
    except OSError:
        return "there is no docker command"
    if done.returncode != 0:
        return "this docker has no buildx"
    driver = hit[1] if (hit := _DRIVER.search(done.stdout)) else "unknown"
    # Docker's own image store holds no attestations; a builder in a container hands them to the registry.
    if driver == "docker":
        return "its builder is the engine's own (docker buildx create --use makes another)"
    return ""
