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
    "cdi generate)?",
    FailureKind.DISK: "Make room where the engine keeps its data (docker system df).",
    FailureKind.IMAGE_MISSING: "Build it or load it (docs/containers.md); `docker images` shows what there is.",
    FailureKind.IMAGE_UNUSABLE: "Check the image.",
    FailureKind.ENGINE_UNREACHABLE: "Is the engine running (docker info)?",
}


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
    """The kind of failure that an engine's words mean; an order it refuses for anything else is the image's fault."""
    lower = text.lower()
    found = (kind for kind, words in _REFUSALS if any(word in lower for word in words))
    return next(found, FailureKind.IMAGE_UNUSABLE)


def refused(kind: FailureKind, doing: str, said: str) -> LaunchFailed:
    """The failure with the engine's own words in it, on one line."""
    words = printable(on_one_line(said.strip().rstrip(".")), _LONGEST)
    return LaunchFailed(kind, f"{doing}: {words}. {_ADVICE.get(kind, '')}".strip())


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
