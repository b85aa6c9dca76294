"""A look around inside an image before the first run: does our runner start, is this our folder, which GPUs are there?

One short-lived container with everything that a run will have: what is wrong with it would be wrong with every run.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from llem.errors import NotReadyError
from llem.launch.docker.engine import ENDED_STATES, Engine, EngineImage, Json
from llem.launch.docker.faults import ContainerGone
from llem.launch.docker.folders import give_out, shown_runner
from llem.launch.docker.image_facts import ImageLook, read_image_look
from llem.launch.docker.leftovers import FOLDER, UID
from llem.launch.docker.request import EXCHANGE, Shown
from llem.launch.gpu_probe import ProbeReport, read_probe
from llem.launch.protocol import LOCK_FILE, LaunchFailed
from llem.printable import on_one_line, printable
from llem.untrusted import Untrusted, read_untrusted
from llem_runner.contract import FailureKind
from llem_runner.contract.exchange import IN, OUT, PROBE_FILE
from llem_runner.image_look import LOOK_FILE

_PREFIX = ".llem-probe-"
_PATIENCE_S = 120
_LOOK_EVERY_S = 0.1
_MOST_BYTES = 1_000_000

Answer = TypeVar("Answer")

Request = Callable[["Workplace", EngineImage], Json]
"""The request for a container that looks around in a workplace."""


@dataclass(frozen=True)
class Workplace:
    """A folder beside the study folders, as a run's: `in/`, `out/` and the runner's copy."""

    folder: Path
    nonce: str
    shown: tuple[Shown, ...]

    @property
    def labels(self) -> dict[str, str]:
        """By which the next start finds the container of a host that died while it looked."""
        return {FOLDER: str(self.folder), UID: str(os.geteuid())}


@contextmanager
def workplace(parent: Path, owner: tuple[int, int], runner: Shown | None = None) -> Iterator[Workplace]:
    """Make one with this copy of the runner (None: a new one), and remove it.

    Raises NotReadyError where `parent` cannot be written.
    """
    is_new = not parent.exists()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_workplaces_of_the_dead(parent)
        with TemporaryDirectory(prefix=_PREFIX, dir=parent.resolve()) as name, _owned(Path(name)):
            folder = Path(name)
            folder.chmod(0o755)
            (folder / IN).mkdir()
            (folder / OUT).mkdir()
            nonce = secrets.token_hex(16)
            (folder / IN / PROBE_FILE).write_text(nonce)
            give_out(folder, owner)
            shown = (
                runner or shown_runner(folder),
                Shown(folder / IN, f"{EXCHANGE}/{IN}"),
                Shown(folder / OUT, f"{EXCHANGE}/{OUT}", writable=True),
            )
            yield Workplace(folder, nonce, shown)
    except OSError as error:
        raise NotReadyError(f"{parent}: study folders cannot be made here ({error.strerror}).") from error
    finally:
        # A machine that is not ready should look as it did before.
        if is_new:
            with suppress(OSError):
                parent.rmdir()


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    draft = folder / f"{LOCK_FILE}.new"
    with draft.open("w") as lock:
        # Under its name only when it is locked: a free one means that its owner is dead.
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(folder / LOCK_FILE)
        yield


def _remove_workplaces_of_the_dead(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError), (folder / LOCK_FILE).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Seen:
    """What came of a look: how its container ended, what it printed, and what it found of the image, if anything."""

    state: Json
    said: str
    look: ImageLook | None

    @property
    def began(self) -> bool:
        """Whether the runner did what it was asked."""
        return int(self.state["ExitCode"]) == 0


def look_inside(
    engine: Engine,
    image: EngineImage,
    where: Workplace,
    request: Request,
    stop: Callable[[float], bool],
    now: Callable[[], float] = time.monotonic,
) -> Seen:
    """Run the probe once. Raises LaunchFailed with what the engine refused, or where the image does not answer.

    `stop(seconds)` waits and says whether we were asked to end.
    """
    for name in (LOOK_FILE, PROBE_FILE):
        (where.folder / OUT / name).unlink(missing_ok=True)
    try:
        container = engine.create(request(where, image), f"llem-probe-{secrets.token_hex(8)}")
    except LaunchFailed as failure:
        raise _unseen(where) if "bind source path" in failure.message else failure from failure
    try:
        engine.start(container)
        end_s = now() + _PATIENCE_S
        # Not with the engine's own call to wait: it would keep us from hearing a Ctrl-C.
        while (state := engine.inspect(container)["State"])["Status"] not in ENDED_STATES:
            if stop(_LOOK_EVERY_S):
                raise LaunchFailed(FailureKind.INTERRUPTED, "Stopped while an image was looked at.")
            if now() > end_s:
                raise LaunchFailed(
                    FailureKind.IMAGE_UNUSABLE,
                    f"The runner does not answer in image {image.name}: a look around inside it takes a second or "
                    f"two, and did not end within {_PATIENCE_S} s.",
                )
        said = engine.logs(container).decode(errors="replace")
    except ContainerGone as error:
        raise LaunchFailed(FailureKind.IMAGE_UNUSABLE, "The probe's container was removed from outside.") from error
    finally:
        with suppress(LaunchFailed):
            engine.remove(container)
    return Seen(state, said, _image_look(where))


def probe_report(where: Workplace) -> ProbeReport:
    """What the runner that has looked around wrote of GPUs. Raises LaunchFailed."""
    try:
        return _answer(where, PROBE_FILE, lambda answer: read_probe(answer.get("probe")))
    except Untrusted as error:
        raise _unseen(where) from error


def _image_look(where: Workplace) -> ImageLook | None:
    """What was written of the image; None where nothing was: nothing began, or the engine does not see the folder."""
    with suppress(Untrusted):
        return _answer(where, LOOK_FILE, lambda answer: read_image_look(answer.get("look")))
    return None


def _answer(where: Workplace, name: str, read: Callable[[dict[str, Any]], Answer]) -> Answer:
    """An answer of this look, read. Raises Untrusted where there is none, LaunchFailed where it is none of ours."""
    try:
        answer = json.loads(read_untrusted(where.folder, f"{OUT}/{name}", _MOST_BYTES))
        if not isinstance(answer, dict) or answer.get("nonce") != where.nonce:
            raise ValueError("it does not echo what was asked")
        return read(answer)
    except Untrusted as error:
        if error.reason == "missing":
            raise
        raise LaunchFailed(FailureKind.IMAGE_UNUSABLE, f"The probe's answer cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        words = printable(on_one_line(str(error)), 300)
        raise LaunchFailed(FailureKind.IMAGE_UNUSABLE, f"The probe's answer is none of ours: {words}.") from error


def _unseen(where: Workplace) -> LaunchFailed:
    return LaunchFailed(
        FailureKind.ENGINE_UNREACHABLE,
        f"The engine does not see {where.folder.parent}: what its containers write there does not arrive here. It runs "
        "on another machine (DOCKER_HOST) or in a virtual one. Run llem where the engine is, or choose another folder "
        "with -o.",
    )
