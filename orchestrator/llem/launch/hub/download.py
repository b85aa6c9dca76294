"""A model that was found, made whole in the cache, with a word now and then of how far it is."""

from __future__ import annotations

import glob
import io
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from llem.launch.hub.cache import CachedRepo
from llem.launch.hub.failures import Unavailable, client_errors, told
from llem.launch.hub.find import Found
from llem.launch.hub.order import Fetched

_FIRST_WORD_S, _WORD_EVERY_S = 2.0, 10.0
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
        progress = _Progress(found, notice)
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


def _fetch(found: Found, cache: Path, progress: _Progress) -> None:
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


class _Progress:
    """Lines for people: the first soon, then one now and then, and one at the end."""

    def __init__(self, found: Found, notice: Callable[[str], None]) -> None:
        self._name = found.model.repo
        self._total = found.missing_bytes
        self._notice = notice
        self._began_s = time.monotonic()
        self._next_s = self._began_s + _FIRST_WORD_S
        if self._total:
            notice(f"Fetching {self._name}, {in_gb(self._total)}, at commit {found.commit[:12]} …")

    def at(self, n_bytes: int) -> None:
        """So many bytes are there."""
        now_s = time.monotonic()
        if now_s >= self._next_s and self._total:
            self._next_s = now_s + _WORD_EVERY_S
            rate = n_bytes / (now_s - self._began_s) / 1e6
            share = min(1.0, n_bytes / self._total)
            self._notice(f"{self._name}: {in_gb(n_bytes)} of {in_gb(self._total)} ({share:.0%}), {rate:.0f} MB/s")

    def done(self) -> None:
        """All of it is."""
        if self._total:
            self._notice(f"{self._name} is there: {in_gb(self._total)} in {time.monotonic() - self._began_s:.0f} s.")


def in_gb(n_bytes: int) -> str:
    """Bytes for people, in GB or MB (10⁹, 10⁶)."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
