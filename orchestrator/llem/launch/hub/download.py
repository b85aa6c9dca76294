"""A model that was found, made whole in the cache, with a word now and then of how far it is."""

from __future__ import annotations

import glob
import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from llem.launch.hub.cache import CachedRepo
from llem.launch.hub.failures import Unavailable, client_errors, told
from llem.launch.hub.find import Found
from llem.launch.hub.order import Fetched
from llem.launch.hub.progress import Progress, in_gb

_LEFT_FREE_BYTES = 64 << 20
"""More than the cache's own links and lists take."""


def check_room(found: Sequence[Found], cache: Path) -> None:
    """Raise Unavailable where the disk cannot hold all that is still to be fetched."""
    needed = sum(each.missing_bytes for each in found)
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed and needed + _LEFT_FREE_BYTES > free:
        names = ", ".join(each.model.repo for each in found if each.missing_bytes)
        raise Unavailable(
            f"The disk of {cache} has {in_gb(free)} free, and {in_gb(needed)} are still to be fetched ({names}). Make "
            "room, or set HF_HOME to a folder on a larger disk."
        )


def download(found: Found, cache: Path, notice: Callable[[str], None]) -> Fetched:
    """Fetch what is missing, several files at once, each resumed where its connection breaks.

    Raises Unavailable. Whole files are kept whatever happens.
    """
    repo = CachedRepo(cache, found.model.repo)
    if found.files:
        progress = Progress(found.model.repo, found.missing_bytes, notice)
        repo.remove_leftovers()
        try:
            _fetch(found, cache, progress)
        except client_errors() as error:
            raise told(error, found.model, cache) from error
        if missing := repo.missing(found.model, found.commit):
            raise Unavailable(f"{found.model.described} was fetched, and yet {', '.join(missing)} is not there. Again?")
        progress.done()
    repo.own_blobs()
    return Fetched(str(repo.snapshot(found.commit)), found.commit)


def _fetch(found: Found, cache: Path, progress: Progress) -> None:
    from huggingface_hub import snapshot_download

    class Bytes(tqdm):  # type: ignore[type-arg]
        """What the client counts with: nothing is drawn, the bytes are told."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "file": io.StringIO()})

        def display(self, *_args: Any, **_kwargs: Any) -> None:
            if self.unit == "B":
                progress.at(int(self.n))

    snapshot_download(
        found.model.repo,
        revision=found.commit,
        cache_dir=cache,
        allow_patterns=[glob.escape(name) for name in found.files],
        tqdm_class=Bytes,
    )
