"""Why an image could not be pulled, in our words: the kind, and whether a second try could end otherwise. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from llem.launch.docker.image_names import registry_of
from llem.launch.protocol import LaunchFailed
from llem.printable import on_one_line, printable
from llem_runner.contract import FailureKind

ENGINE_GONE = "the engine ended the connection"
"""What we say of an engine that went away while it pulled."""
_LONGEST = 400


@dataclass(frozen=True)
class _Fault:
    """What engines say of one thing that is wrong (in lower case), and what people can do about it."""

    words: tuple[str, ...]
    kind: FailureKind
    advice: str
    is_final: bool = True


_LOGIN = "Log in with `docker login {registry}` as the user who runs llem (docs/containers.md)."
_ENGINE_PROXY = "Can the engine's machine reach {registry} (a proxy is the engine's setting, not the shell's)?"

# The first match decides: what a registry refuses it often says in several of these words.
_FAULTS = (
    _Fault((ENGINE_GONE,), FailureKind.ENGINE_UNREACHABLE, "Is the engine running (docker info)?", is_final=False),
    _Fault(
        ("no space left on device", "disk quota exceeded"),
        FailureKind.DISK,
        "Make room where the engine keeps its data (docker system df).",
    ),
    _Fault(
        ("no matching manifest", "does not match the specified platform", "no image found in manifest list"),
        FailureKind.IMAGE_PULL,
        "The image was not made for this engine's kind of machine: choose one that was.",
    ),
    _Fault(
        ("pull access denied", "requested access to the resource is denied", "repository does not exist"),
        FailureKind.IMAGE_MISSING,
        "Is the name right? " + _LOGIN,
    ),
    _Fault(
        ("unauthorized", "authentication required", "no basic auth credentials", "incorrect username or password"),
        FailureKind.IMAGE_PULL,
        _LOGIN,
    ),
    _Fault(
        ("credentials store error",),
        FailureKind.IMAGE_PULL,
        "Docker's configuration names a credential helper that does not work here (docker-credential-… on PATH).",
    ),
    _Fault(("denied", "forbidden"), FailureKind.IMAGE_PULL, _LOGIN),
    _Fault(
        (
            "digest invalid",
            "manifest verification failed",
            "filesystem layer verification failed",
            "manifest invalid",
            "unsupported manifest",
            "missing signature key",
            "mediatype in manifest should be",
            "unexpected end of json input",
            "invalid character",
        ),
        FailureKind.IMAGE_PULL,
        "What {registry} holds is damaged: push the image there anew.",
    ),
    _Fault(
        ("manifest unknown", "name unknown", "no such image", "not found: manifest", "not found"),
        FailureKind.IMAGE_MISSING,
        "Is the name right, and the tag? Push it there, build it, or name another one (docs/containers.md).",
    ),
    _Fault(
        ("invalid reference format", "invalid repository name", "repository name must be"),
        FailureKind.IMAGE_MISSING,
        "That is no name of an image.",
    ),
    _Fault(
        ("server gave http response to https client", "certificate"),
        FailureKind.IMAGE_PULL,
        "The engine does not trust {registry}: give it the certificate, or name it in its insecure-registries.",
    ),
    _Fault(
        ("toomanyrequests", "too many requests", "rate limit"),
        FailureKind.IMAGE_PULL,
        "{registry} gives out only so much in a time: log in, or try again later.",
        is_final=False,
    ),
    _Fault(
        ("unexpected http status: 5", "internal server error", "bad gateway", "service unavailable"),
        FailureKind.IMAGE_PULL,
        "{registry} is in trouble itself: look at its log, or try again later.",
        is_final=False,
    ),
    # Said of a name that is not there; a server of names that does not answer is told in other words.
    _Fault(("no such host",), FailureKind.IMAGE_PULL, "Is the name right? " + _ENGINE_PROXY),
)
_ANYTHING_ELSE = _Fault((), FailureKind.IMAGE_PULL, _ENGINE_PROXY, is_final=False)


def pull_failed(image: str, said: str) -> LaunchFailed:
    """The failure of a pull of which the engine `said` this."""
    words = printable(on_one_line(said.strip().rstrip(".")), _LONGEST)
    advice = _fault(said).advice.format(registry=registry_of(image))
    return LaunchFailed(_fault(said).kind, f"Image {image} cannot be pulled: {words}. {advice}")


def is_final(said: str) -> bool:
    """Whether to try again would be in vain."""
    return _fault(said).is_final


def _fault(said: str) -> _Fault:
    lower = said.lower()
    return next((fault for fault in _FAULTS if any(word in lower for word in fault.words)), _ANYTHING_ELSE)
