"""What lies in the Hub client's cache of a model, and whether it is whole.

<cache>/models--org--name/
  refs/<branch or tag>          the commit that it was when it was last asked for
  snapshots/<commit>/<file>     a link to ../../blobs/<etag>
  blobs/<etag>                  a file; <etag>.<random>.incomplete while it is fetched
  trees/<commit>.json           what files the commit has, where a whole snapshot was asked for
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llem.launch.hub.choice import choose
from llem.launch.hub.order import HubModel

_COMMIT = re.compile(r"[0-9a-f]{40}")
_FOLDER = "models--"
_DEFAULT_BRANCH = "main"


def is_commit(revision: str | None) -> bool:
    """Whether a revision can never mean anything else."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def cached_repos(cache: Path) -> list[str]:
    """Ids of the models of which something is in the cache."""
    with suppress(OSError):
        folders = [path.name for path in cache.iterdir() if path.name.startswith(_FOLDER)]
        return sorted(name.removeprefix(_FOLDER).replace("--", "/") for name in folders)
    return []


class CachedRepo:
    """One model's folder in the cache."""

    def __init__(self, cache: Path, repo: str) -> None:
        self._cache = cache
        self._repo = repo
        self._name = _FOLDER + repo.replace("/", "--")
        self.root = cache / self._name

    def commit_of(self, revision: str | None) -> str | None:
        """The commit that a revision was when it was last asked for; None where it never was."""
        if revision is not None and is_commit(revision):
            return revision
        with suppress(OSError, ValueError):
            commit = (self.root / "refs" / (revision or _DEFAULT_BRANCH)).read_text().strip()
            return commit if is_commit(commit) else None
        return None

    def snapshot(self, commit: str) -> Path:
        """The folder of a commit."""
        return self.root / "snapshots" / commit

    def has_blob(self, etag: str | None) -> bool:
        """Whether a file's content is there, under whichever name."""
        return etag is not None and (self.root / "blobs" / etag).exists()

    def missing(self, model: HubModel, commit: str) -> list[str]:
        """Names of the files that `model` needs and a commit's snapshot lacks; empty where it is whole.

        Where nobody listed the commit's files, those that are there must have the marker, weights, and every file
        that an index of the weights names.
        """
        folder = self.snapshot(commit)
        listed = self._listed(commit)
        there = _files(folder)
        chosen = choose(there if listed is None else listed, weights=model.weights, code=model.code)
        wanted = {model.marker, *chosen.all}
        if listed is None and model.weights:
            wanted |= set(_indexed(folder, chosen.others, chosen.weights)) or {"its weights"}
        return sorted(wanted - there)

    def remove_leftovers(self) -> None:
        """Remove halves of files that nobody is fetching: the client takes up no half again, and a kill leaves them."""
        for path in self.root.glob("blobs/*.incomplete"):
            etag = path.name.split(".", 1)[0]
            with suppress(OSError), _locked(self._cache / ".locks" / self._name / f"{etag}.lock"):
                path.unlink()

    def own_blobs(self) -> None:
        """Make a blob that is a link into the cache's common store a second name of the file itself.

        A container sees this folder alone. It takes no room; what cannot be done is left, and told where it matters.
        """
        for path in self.root.glob("blobs/*"):
            if path.is_symlink():
                beside = path.with_name(f"{path.name}.{os.getpid()}.own")
                with suppress(OSError):
                    os.link(path.resolve(strict=True), beside)
                    beside.replace(path)

    def _listed(self, commit: str) -> list[str] | None:
        from huggingface_hub import get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError

        try:
            tree = get_cached_repo_tree(self._repo, revision=commit, cache_dir=self._cache)
        except CachedRepoTreeNotFoundError:
            return None
        return [file.path for file in tree]


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _indexed(folder: Path, names: Iterable[str], weights: Iterable[str]) -> Iterator[str]:
    """The weights that are there, and those that an index of their kind names."""
    suffixes = set()
    for name in weights:
        suffixes.add(Path(name).suffix)
        yield name
    for name in names:
        if any(name.endswith(f"{suffix}.index.json") for suffix in suffixes):
            with suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
                yield from map(str, json.loads((folder / name).read_bytes())["weight_map"].values())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock that the client holds while it fetches a blob. Raises BlockingIOError where somebody has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)
