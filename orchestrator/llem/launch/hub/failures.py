"""What the client raises → words for the person at the terminal: what, where, what to do.

Never the client's own message whole: it holds addresses, and an address may hold a key.
"""

from __future__ import annotations

import errno
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from llem.launch.hub.cache import cached_repos
from llem.launch.hub.order import HubModel
from llem.printable import on_one_line, printable
from llem_runner.contract.builtin import PACKAGED_MODELS, TINY_LLAMA

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TOO_MANY, _SERVER = 429, 500


class Unavailable(Exception):
    """A model that cannot be had; the message is for people."""


def client_errors() -> tuple[type[Exception], ...]:
    """What the client raises where a model cannot be had, or a disk not be written."""
    import httpx2
    from huggingface_hub.errors import RevisionResolutionError, XetDownloadError

    return OSError, ValueError, RuntimeError, httpx2.HTTPError, RevisionResolutionError, XetDownloadError


def is_unreachable(error: BaseException) -> bool:
    """Whether there was no answer, or one that says nothing of the model: what is in the cache will do then."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RevisionResolutionError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= _SERVER or error.response.status_code == _TOO_MANY
    return isinstance(error, httpx2.TransportError | OfflineModeIsEnabled | RevisionResolutionError)


def told(error: BaseException, model: HubModel, cache: Path) -> Unavailable:
    """`error` of a request or a download as what a person reads."""
    from huggingface_hub.errors import (
        DisabledRepoError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        return told(error.__cause__, model, cache)
    if isinstance(error, GatedRepoError):
        return Unavailable(f"{model.described} is gated, and {_no_access()} {_endpoint()}/{model.repo}.")
    if isinstance(error, RevisionNotFoundError):
        return Unavailable(
            f"{model.described} has no revision {model.revision} on {hub_name()}. Correct `revision`: a branch, a tag "
            "or a whole commit hash; without it, it is the default branch."
        )
    if isinstance(error, RepositoryNotFoundError):
        private = "private, and your token may not read it" if _has_token() else "private, and no token was found"
        return Unavailable(
            f"{model.described} is no folder here, and does not exist on {hub_name()} (or is {private}: HF_TOKEN, or "
            f"`hf auth login`).{near(model.repo, cache)}"
        )
    if isinstance(error, DisabledRepoError):
        return Unavailable(f"{model.described} was disabled by {hub_name()}. Choose another.")
    if isinstance(error, HfHubHTTPError) and not is_unreachable(error):
        return Unavailable(_refused(error.response.status_code, model))
    if isinstance(error, OSError) and error.errno is not None:
        return Unavailable(_unwritten(error, model, cache))
    if is_unreachable(error):
        return Unavailable(
            f"The download of {model.repo} broke off: {why_unreachable(error)}. Files that were whole are kept: the "
            "same command again fetches the rest."
        )
    return Unavailable(
        f"{model.described} could not be fetched from {hub_name()}: {_first_line(error)} If HF_ENDPOINT is set, is "
        "it a Hub? The same command again keeps the files that were whole."
    )


def near(repo: str, cache: Path) -> str:
    """` Did you mean …?`, of the models in the cache and those that are built in; empty where none is near."""
    known = [*cached_repos(cache), *PACKAGED_MODELS, TINY_LLAMA]
    lower = {name.lower(): name for name in known}
    found = get_close_matches(repo.lower(), lower, n=1, cutoff=0.75)
    return f" Did you mean {lower[found[0]]}?" if found else ""


def why_unreachable(error: BaseException) -> str:
    """In a few words."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "nothing is to be fetched (--offline, or HF_HUB_OFFLINE)"
    if isinstance(error, HfHubHTTPError):
        return f"{hub_name()} answers {error.response.status_code}"
    cause = error.__cause__ if type(error).__name__ == "RevisionResolutionError" else None
    if cause is not None:
        return why_unreachable(cause)
    return f"{hub_name()} cannot be reached ({_first_line(error).rstrip('.')})"


def hub_name() -> str:
    """The host that is asked, without what else an address may hold."""
    parts = urlsplit(_endpoint())
    return parts.hostname if parts.hostname and parts.port is None else f"{parts.hostname}:{parts.port}"


def _endpoint() -> str:
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _no_access() -> str:
    if _has_token():
        return "your token has no access to it (not granted yet, or not a right of this token). Ask for it at"
    return "no token was found. Log in (`hf auth login`) or set HF_TOKEN, once you were granted access at"


def _refused(status: int, model: HubModel) -> str:
    if status == 401:
        return (
            f"{hub_name()} does not accept your token for {model.repo} (401): it may have expired. Log in again "
            "(`hf auth login`), or correct HF_TOKEN."
        )
    return f"{hub_name()} refuses {model.repo} ({status}). May your token read it (HF_TOKEN, `hf auth login`)?"


def _unwritten(error: OSError, model: HubModel, cache: Path) -> str:
    if error.errno in _FULL:
        return (
            f"The disk of {cache} is full: {model.repo} was not fetched whole. Files that are whole are kept. Make "
            "room, or set HF_HOME to a folder on a larger disk."
        )
    where = error.filename or cache
    return (
        f"{model.described} cannot be put into the cache: {on_one_line(str(where))}: {error.strerror}. Make {cache} "
        "writable for your user, or set HF_HOME to a folder of yours."
    )


def _first_line(error: BaseException) -> str:
    lines = printable(str(error), 300).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else f"{type(error).__name__}."
