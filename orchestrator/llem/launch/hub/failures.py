"""What the client raises → words for the person at the terminal: what, where, what to do.

Never the client's own message whole: it holds addresses, and an address may hold a key.
"""

from __future__ import annotations

import errno
from difflib import get_close_matches
from pathlib import Path

from llem.launch.hub.cache import cached_repos
from llem.launch.hub.endpoint import address, has_token, host
from llem.launch.hub.order import HubModel
from llem.printable import on_one_line, printable

_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNAUTHORISED, _TOO_MANY, _SERVER = 401, 429, 500
_NEAR = 0.75


class Unavailable(Exception):
    """A model that cannot be had; the message is for people."""


def client_errors() -> tuple[type[Exception], ...]:
    """What the client raises where a model cannot be had, or a disk not be written."""
    import httpx2
    from huggingface_hub.errors import RevisionResolutionError, XetDownloadError

    return OSError, ValueError, RuntimeError, httpx2.HTTPError, RevisionResolutionError, XetDownloadError


def cause_of(error: BaseException) -> BaseException:
    """What is behind an error that says only that the cache could not help either."""
    from huggingface_hub.errors import LocalEntryNotFoundError, RevisionResolutionError

    if isinstance(error, LocalEntryNotFoundError | RevisionResolutionError) and error.__cause__ is not None:
        return cause_of(error.__cause__)
    return error


def is_unreachable(error: BaseException) -> bool:
    """Whether there was no answer, or one that says nothing of the model: what is in the cache will do then."""
    import httpx2
    from huggingface_hub.errors import OfflineModeIsEnabled, RevisionResolutionError

    if (status := _status(error)) is not None:
        return status >= _SERVER or status == _TOO_MANY
    return isinstance(error, httpx2.TransportError | OfflineModeIsEnabled | RevisionResolutionError)


def why_unreachable(error: BaseException) -> str:
    """In a few words."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    error = cause_of(error)
    if isinstance(error, OfflineModeIsEnabled):
        return "nothing is to be fetched (--offline, or HF_HUB_OFFLINE)"
    if (status := _status(error)) is not None:
        return f"{host()} answers {status}"
    return f"{host()} cannot be reached ({_first_line(error)})"


def told(error: BaseException, model: HubModel, cache: Path) -> Unavailable:
    """`error` of a request or a download as what a person reads."""
    error = cause_of(error)
    if is_unreachable(error):
        words = (
            f"The download of {model.repo} broke off: {why_unreachable(error)}. Whole files are kept: the same command "
            "again fetches the rest."
        )
    elif _status(error) is not None:
        words = _refused(error, model, cache)
    elif isinstance(error, OSError) and error.errno is not None:
        words = _unwritten(error, model, cache)
    else:
        words = (
            f"{model.described} could not be fetched from {host()} ({_first_line(error)}). If HF_ENDPOINT is set, is "
            "it a Hub? Whole files are kept: the same command again fetches the rest."
        )
    return Unavailable(words)


def near(repo: str, cache: Path) -> str:
    """` Did you mean …?`, of the models in the cache; empty where none is near."""
    known = {name.lower(): name for name in cached_repos(cache)}
    found = get_close_matches(repo.lower(), known, n=1, cutoff=_NEAR)
    return f" Did you mean {known[found[0]]}?" if found else ""


def _refused(error: BaseException, model: HubModel, cache: Path) -> str:
    """The Hub's own answer."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    status = _status(error)
    if isinstance(error, GatedRepoError):
        return f"{model.described} is gated, and {_no_access()} {address()}/{model.repo}."
    if isinstance(error, RevisionNotFoundError):
        return (
            f"{model.described} has no revision {model.revision} on {host()}. Correct `revision`: a branch, a tag or a "
            "whole commit hash; without it, it is the default branch."
        )
    # Without a token the Hub answers 401 for what is not there as well as for what is private.
    if isinstance(error, RepositoryNotFoundError) or (status == _UNAUTHORISED and not has_token()):
        why = "your token may not read it" if has_token() else "no token was found: HF_TOKEN, or `hf auth login`"
        return (
            f"{model.described} {'' if model.adapter else 'is no folder here, and '}does not exist on {host()}, or is "
            f"private ({why}).{near(model.repo, cache)}"
        )
    if status == _UNAUTHORISED:
        return (
            f"{host()} does not accept your token for {model.repo} (401): it may have expired. Log in again "
            "(`hf auth login`), or correct HF_TOKEN."
        )
    return f"{host()} refuses {model.repo} ({status}). Is it disabled, or is your token not to read it (HF_TOKEN)?"


def _no_access() -> str:
    if has_token():
        return "your token has no access to it (not granted yet, or not a right of this token). Ask for it at"
    return "no token was found. Log in (`hf auth login`) or set HF_TOKEN, once you were granted access at"


def _unwritten(error: OSError, model: HubModel, cache: Path) -> str:
    if error.errno in _FULL:
        return (
            f"The disk of {cache} is full: {model.repo} was not fetched whole. Whole files are kept. Make room, or "
            "set HF_HOME to a folder on a larger disk."
        )
    where = on_one_line(str(error.filename or cache))
    return (
        f"{model.described} cannot be put into the cache: {where}: {error.strerror}. Make {cache} writable for your "
        "user, or set HF_HOME to a folder of yours."
    )


def _status(error: BaseException) -> int | None:
    """The status of an answer that is an error."""
    from huggingface_hub.errors import HfHubHTTPError

    return int(error.response.status_code) if isinstance(error, HfHubHTTPError) else None


def _first_line(error: BaseException) -> str:
    """The exception's name and the beginning of what it says, without a full stop."""
    lines = printable(str(error), 300).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}".rstrip(".") if lines else type(error).__name__
