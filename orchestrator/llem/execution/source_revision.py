"""What of the source an image is built from, for its labels."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from llem.execution.git_commit import git_commit, git_says
from llem.launch.docker import Revision

_DIRTY = "-dirty"


def source_revision(checkout: Path) -> Revision:
    """The commit, its date, and the address that the checkout came from; outside of git the date is now's.

    The date is the commit's, so that the same source gives the same image however often it is built.
    """
    found = git_commit(checkout)
    if found is None:
        return Revision(created=datetime.now(UTC).isoformat(timespec="seconds"))
    return Revision(
        source=public_address(git_says(checkout, "remote", "get-url", "origin") or ""),
        commit=found.commit + (_DIRTY if found.dirty else ""),
        created=(git_says(checkout, "show", "--no-patch", "--format=%cI", "HEAD") or "").strip(),
    )


def public_address(origin: str) -> str:
    """An https address without user, password and `.git`; empty for any other: a path or host of somebody's own."""
    parts = urlsplit(origin.strip())
    if parts.scheme != "https" or not parts.hostname:
        return ""
    port = f":{parts.port}" if parts.port else ""
    return f"https://{parts.hostname}{port}{parts.path.removesuffix('.git')}"
