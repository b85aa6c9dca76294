"""What a container is shown of the host: our runner, the model, the adapter, a cache. And who may read them inside."""

from __future__ import annotations

import hashlib
import os
import py_compile
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import llem_runner
from llem.errors import NotReadyError
from llem.launch.docker.request import ADAPTER, CACHE, MODEL, NOBODY, RUNNER, Shown
from llem.printable import on_one_line
from llem_runner.contract.exchange import CONTRACT_VERSION, IN, OUT

RUNNER_FOLDER = ".runner"
CACHE_FOLDER = ".cache"
_HUB_FOLDER = "models--"
_MOST_LINKS = 40
"""As many one after the other as the kernel follows."""


def shown_runner(study_folder: Path, name: str | None = None) -> Shown:
    """A copy of this host's runner and its `pynvml.py` in the study's folder, mounted over whatever the image holds.

    A copy: it stays what the study began with, whoever edits or updates the original meanwhile; it lies where the
    engine sees the study's folder; and everybody may read it. It is the one of this `name`, if that is there and whole,
    else a new one. Its name is the contract's version and its content's digest. Raises OSError.
    """
    copies = study_folder / RUNNER_FOLDER
    if name is not None and name.startswith(f"{CONTRACT_VERSION}-") and _is_whole(copies / name):
        return Shown(copies / name, RUNNER)
    # Read once: what is edited meanwhile is copied as its name says.
    sources = {name: source.read_bytes() for name, source in _runner_sources()}
    copy = copies / _name_of(sources)
    if not _is_whole(copy):
        beside = copy.with_name(f".{copy.name}.{os.getpid()}")
        for name, content in sources.items():
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        _compile(beside)
        _readable_by_all(beside)
        shutil.rmtree(copy, ignore_errors=True)
        beside.rename(copy)
        _open_to_all(copy.parent)
    return Shown(copy, RUNNER)


def _is_whole(copy: Path) -> bool:
    """Whether a copy is there and is what its name says."""
    sources = {str(source.relative_to(copy)): source.read_bytes() for source in copy.rglob("*.py")}
    return _name_of(sources) == copy.name


def _name_of(sources: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(sources.items()):
        digest.update(f"{name}\0".encode() + content + b"\0")
    return f"{CONTRACT_VERSION}-{digest.hexdigest()[:12]}"


def _runner_sources() -> Iterator[tuple[str, Path]]:
    import pynvml

    package = Path(llem_runner.__file__).parent
    for source in sorted(package.rglob("*.py")):
        yield f"{package.name}/{source.relative_to(package)}", source
    yield "pynvml.py", Path(pynvml.__file__)


def _compile(folder: Path) -> None:
    """Once and for all: a read-only mount cannot keep what every run would compile anew."""
    import compileall

    # By content, not by time: it is the same code wherever and whenever it was copied.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compileall.compile_dir(folder, quiet=2, invalidation_mode=mode, stripdir=str(folder), prependdir=RUNNER)


def _readable_by_all(root: Path) -> None:
    for folder, _, files in os.walk(root):
        _open_to_all(Path(folder))
        for name in files:
            (Path(folder) / name).chmod(0o644)


def _open_to_all(folder: Path) -> None:
    folder.chmod(0o755)


def shown_cache(study_folder: Path, image_id: str, owner: tuple[int, int]) -> tuple[Shown, bool]:
    """The writable folder of compilers and engines for one image and study, and whether it is warm. Raises OSError.

    Not shared between studies: what code of one study's model leaves there is executed again.
    """
    folder = study_folder / CACHE_FOLDER / image_id.removeprefix("sha256:")[:12]
    folder.mkdir(parents=True, exist_ok=True)
    _give(folder, owner)
    return Shown(folder, CACHE, writable=True), any(folder.iterdir())


def give_out(folder: Path, owner: tuple[int, int]) -> None:
    """Make the run's inputs readable, and its `out/` its own. Raises OSError."""
    inputs, out = folder / IN, folder / OUT
    for path in inputs.iterdir():
        path.chmod(0o644)
    _open_to_all(inputs)
    _give(out, owner)


def _give(folder: Path, owner: tuple[int, int]) -> None:
    folder.chmod(0o700 if owner[0] == os.geteuid() else 0o755)
    if os.geteuid() == 0:
        os.chown(folder, *owner)


def shown_model(path: str) -> tuple[Shown, str] | None:
    """What to mount for a model, and its path inside; None where it is made at load (`builtin:tiny-llama`)."""
    return _shown_weights(Path(path), MODEL) if path.startswith("/") else None


def shown_adapter(path: str) -> tuple[Shown, str]:
    """The same for an adapter."""
    return _shown_weights(Path(path), ADAPTER)


def _shown_weights(folder: Path, inside: str) -> tuple[Shown, str]:
    root = _mounted_root(folder)
    return Shown(root, inside), str(Path(inside) / folder.relative_to(root))


def _mounted_root(folder: Path) -> Path:
    """The folder itself; of a snapshot in a hub's cache, whose files are links to `../../blobs`, the model's folder."""
    return next((parent for parent in folder.parents if parent.name.startswith(_HUB_FOLDER)), folder)


def check_weights_readable(path: str, uid: int) -> None:
    """Raise NotReadyError where user `uid` of a container could not read a model or adapter folder.

    Everybody else but NOBODY is the caller himself, for whom nothing is different inside.
    """
    folder = Path(path)
    root = _mounted_root(folder)
    inside = Path(os.path.realpath(root))
    readable: set[Path] = set()
    for each in (folder, *sorted(folder.rglob("*"))):
        if each.is_symlink() and each != root and not _stays_inside(each, inside):
            raise NotReadyError(
                f"{on_one_line(str(each))} is a link that leads out of {on_one_line(str(root))}, or is absolute: a "
                "container sees that folder and nothing beside it, at another place. Put the file itself there "
                "(cp -L), or a relative link."
            )
        # A link that leads nowhere is as useless inside as outside: whoever loads the model says so if it matters.
        if uid == NOBODY and each.exists():
            _check_readable_by_others(Path(os.path.realpath(each)), inside, readable)


def _stays_inside(link: Path, root: Path) -> bool:
    """Whether a link is followed within `root`, step by step, as it is where `root` has another name."""
    step = link
    for _ in range(_MOST_LINKS):
        step = Path(os.path.realpath(step.parent)) / step.name
        if not step.is_symlink():
            break
        target = step.readlink()
        step = step.parent
        for part in target.parts:
            step = step.parent if part == ".." else step / part
            # Nor by way of a folder outside: `../models--x/blobs` leads back in here, and nowhere there.
            if not step.is_relative_to(root):
                return False
    return Path(os.path.realpath(link)).is_relative_to(root)


def _check_readable_by_others(path: Path, root: Path, readable: set[Path]) -> None:
    """Check a file and every folder on the way to it from `root` on; `readable` are those that were checked before."""
    for each in (path, *path.parents):
        if each in readable or not each.is_relative_to(root):
            return
        if not _readable_by_others(each):
            raise NotReadyError(
                f"{on_one_line(str(each))} may not be read by others, and a container of root runs as user {NOBODY}. "
                f"Allow it: chmod -R a+rX {shlex.quote(str(root))}"
            )
        readable.add(each)


def _readable_by_others(path: Path) -> bool:
    mode = path.stat().st_mode
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed


def remove_working_folders(study_folder: Path) -> None:
    """Remove what only running needs. What cannot be removed stays: it harms nothing."""
    for name in (RUNNER_FOLDER, CACHE_FOLDER):
        # Who was in the container may have made folders in folders without end.
        with suppress(RecursionError):
            shutil.rmtree(study_folder / name, ignore_errors=True)
