"""Why nothing of ours began in a container: no python3, one for another machine, one that may not be run. Pure.

Engines and the init that they put before a command have no codes for it, only words.
"""

from __future__ import annotations

from llem.launch.docker.engine import EngineImage, Json
from llem.launch.docker.engine_versions import LEAST_PYTHON
from llem.launch.docker.image_findings import Finding
from llem.launch.docker.image_names import architecture_of
from llem.printable import on_one_line, printable

_FOREIGN = "exec format error"
_ABSENT = ("no such file or directory", "not found")
_DENIED = "permission denied"
_NOT_EXECUTED = (126, 127)


def why_it_did_not_begin(image: EngineImage, architecture: str, state: Json, said: str) -> Finding:
    """For a container of the image that ended as `state` tells, having `said` something.

    `architecture` is what the machine executes (`amd64`).
    """
    if state.get("OOMKilled"):
        return Finding(
            "missing",
            "memory",
            "docker.memory_limit is less memory than a look around takes",
            "Raise it.",
        )
    last = ([line for line in said.splitlines() if line.strip()] or [str(state.get("Error") or "it said nothing")])[-1]
    if found := why_not_executed(image, architecture, int(state["ExitCode"]), last):
        return found
    return Finding(
        "missing",
        "start",
        f"llem's runner does not start (exit code {state['ExitCode']}): {printable(last, 500).rstrip('.')}",
    )


def why_not_executed(image: EngineImage, architecture: str, exit_code: int | None, words: str) -> Finding | None:
    """What an engine's, or an init's, `words` on a python3 that it could not execute mean; None for any others.

    `exit_code` None: the engine refused to start the container at all.
    """
    lower = words.lower()
    if _FOREIGN in lower:
        return _foreign(image, architecture)
    if exit_code not in (None, *_NOT_EXECUTED):
        return None
    if "python3" in lower and architecture and architecture_of(image.architecture) not in ("", architecture):
        # An init that may not execute a program takes it for a script, and says that its shell is not there.
        return _foreign(image, architecture)
    if "python3" in lower and any(word in lower for word in _ABSENT):
        path = next((line.partition("=")[2] for line in image.environment if line.startswith("PATH=")), "not set")
        return Finding(
            "missing",
            "python3",
            f"there is none on its PATH ({on_one_line(path)}), or what it is linked with is not there",
            f"Where its Python ({LEAST_PYTHON} or newer) has another name or place: RUN ln -s /its/python3.12 "
            "/usr/local/bin/python3, or ENV PATH=/its/bin:$PATH",
        )
    if "python3" in lower and _DENIED in lower:
        return Finding(
            "missing",
            "python3",
            "whoever is not root may not execute it, and runs are never root's",
            "RUN chmod -R a+rX the folder of its Python, or install it outside of /root",
        )
    return None


def _foreign(image: EngineImage, architecture: str) -> Finding:
    made_for = f"it is made for {image.architecture}" if image.architecture else "its python3 is for another machine"
    return Finding(
        "missing",
        "architecture",
        f"{made_for}, and this machine ({architecture}) cannot execute its python3",
        f"Pull or build it for this machine: docker pull --platform linux/{architecture} {image.name}",
    )
