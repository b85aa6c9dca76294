"""The engine's refusals in our words: which kind of failure each is. Pure but for the SDK's exception types."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llem.launch.protocol import LaunchFailed
from llem.printable import on_one_line, printable
from llem_runner.contract import FailureKind

_LONGEST = 600

# What engines say, in lower case; the first match decides. There are no codes for these.
_REFUSALS: tuple[tuple[FailureKind, tuple[str, ...]], ...] = (
    (
        FailureKind.GPU_REQUEST,
        (
            "could not select device driver",
            "nvidia-container-cli",
            "nvidia-container-runtime",
            "cdi device injection failed",
            "unresolvable cdi devices",
            "failed to inject cdi",
            "unknown device",
        ),
    ),
    # Of a mount it says of a folder that is read-only for good reason.
    (FailureKind.IMAGE_UNUSABLE, ("error mounting",)),
    (FailureKind.DISK, ("no space left on device", "disk quota exceeded", "read-only file system")),
    (FailureKind.IMAGE_MISSING, ("no such image",)),
    # Names are ours alone: the engine is still at what it was asked in a call that timed out.
    (FailureKind.ENGINE_UNREACHABLE, ("is already in use by container",)),
)
KNOWS_NO_GPU = ("could not select device driver", "unresolvable cdi devices")
"""Said by an engine that knows of no GPU (Docker's, Podman's words), on a host without their driver and on one with."""

NO_ANSWER = "it did not answer in time"
"""What we say of an engine that said nothing."""

LIMIT_REFUSED = "setting rlimit"
"""Said by an engine that may not raise a limit, as within another container."""

_ADVICE = {
    FailureKind.GPU_REQUEST: "Does `nvidia-smi` work, and is the NVIDIA container toolkit set up (for CDI: nvidia-ctk "
    "cdi generate --device-name-strategy=uuid)?",
    FailureKind.DISK: "Make room where the engine keeps its data (docker system df).",
    FailureKind.IMAGE_MISSING: "Build it or load it (docs/containers.md); `docker images` shows what there is.",
    FailureKind.IMAGE_UNUSABLE: "Check the image, and the study's docker keys (network, memory_limit, shm_size).",
    FailureKind.ENGINE_UNREACHABLE: "Is the engine running (docker info)?",
}

# What an order is refused for that has nothing to do with the image.
_ADVICE_ON_KEYS: tuple[tuple[str, str], ...] = (
    ("network", "The study sets docker.network: `docker network ls` shows what there is."),
    ("no such container", "The study sets docker.network: the container that it names is not there."),
    ("memory limit", "The study sets docker.memory_limit: an engine of inference needs some GiB."),
    ("shm size", "The study sets docker.shm_size."),
)


class ContainerGone(Exception):
    """There is no such container (any more)."""


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """What the SDK raises becomes LaunchFailed, which says what was being done; a missing container ContainerGone."""
    import docker
    import requests
    import urllib3

    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise refused(FailureKind.IMAGE_MISSING, doing, explanation(error)) from error
    except docker.errors.NotFound as error:
        if "container" in explanation(error).lower():
            raise ContainerGone(explanation(error)) from error
        raise refused(kind_of(explanation(error)), doing, explanation(error)) from error
    except docker.errors.APIError as error:
        raise refused(kind_of(explanation(error)), doing, explanation(error)) from error
    except requests.exceptions.Timeout as error:
        raise refused(FailureKind.ENGINE_UNREACHABLE, doing, NO_ANSWER) from error
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        docker.errors.DockerException,
        OSError,
    ) as error:
        raise refused(FailureKind.ENGINE_UNREACHABLE, doing, _innermost(error)) from error


def kind_of(text: str) -> FailureKind:
    """The kind of failure that an engine's words mean; an order it refuses for anything else counts as the image's."""
    lower = text.lower()
    found = (kind for kind, words in _REFUSALS if any(word in lower for word in words))
    return next(found, FailureKind.IMAGE_UNUSABLE)


def refused(kind: FailureKind, doing: str, said: str) -> LaunchFailed:
    """The failure with the engine's own words in it, on one line."""
    words = printable(on_one_line(said.strip().rstrip(".")), _LONGEST)
    return LaunchFailed(kind, f"{doing}: {words}.", _advice(kind, words))


def _advice(kind: FailureKind, words: str) -> str:
    if kind is FailureKind.IMAGE_UNUSABLE:
        for word, advice in _ADVICE_ON_KEYS:
            if word in words.lower():
                return advice
    return _ADVICE.get(kind, "")


def explanation(error: Exception) -> str:
    """What the engine itself said, without the SDK's wrapping."""
    return str(getattr(error, "explanation", None) or error)


def _innermost(error: BaseException) -> str:
    """The last cause: the SDK's own words are `Connection aborted`, within three brackets."""
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen:
        seen.add(id(cause))
        error = cause
    return str(error) or type(error).__name__
