"""Images are pulled before any GPU time is spent: all that are missing at once, each with its retries, and all that
cannot be had are told together.

    to_pull → disk_space → one Pull a name (pull_one.py), in threads → failures of all
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from llem.launch.docker.disk_space import is_on_this_machine, space_lacks
from llem.launch.docker.engine import Engine
from llem.launch.docker.image_names import by_digest
from llem.launch.docker.images import image_there
from llem.launch.docker.pull_layers import PullState
from llem.launch.docker.pull_one import Pull, Retries
from llem.launch.docker.registry import downloads
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

PullPolicy = Literal["missing", "always", "never"]
Progress = Callable[[PullState], None]
"""Told, from the thread that asked for the pulls, how far one is."""

_LOOK_EVERY_S = 0.1
_RETRIES = Retries()


@dataclass(frozen=True)
class WantedImage:
    """An image that runs will need, and when it is pulled; `digest` is what a study began with."""

    name: str
    policy: PullPolicy = "missing"
    digest: str | None = None


class PullsFailed(Exception):
    """Images that cannot be had, with the reason of each by name."""

    def __init__(self, failures: Mapping[str, LaunchFailed]) -> None:
        super().__init__("\n".join(failure.message for failure in failures.values()))
        self.failures = failures

    @property
    def listed(self) -> str:
        """All of them for people, a line each."""
        return "\n".join(f"{failure.kind}: {failure.message}" for failure in self.failures.values())


def unseen(state: PullState) -> None:
    """A progress that nobody wants to see."""
    del state


def pull_missing(
    engine: Engine,
    wanted: Sequence[WantedImage],
    progress: Progress,
    stop: Callable[[float], bool],
    notice: Callable[[str], None],
    retries: Retries = _RETRIES,
) -> None:
    """Have every wanted image on the engine, as its policy says.

    `stop(seconds)` waits and says whether we were asked to end; `notice` is for lines that people should see.
    Raises PullsFailed with all that cannot be had; LaunchFailed where the engine does not answer, the disk has no room,
    or we were asked to end (kind interrupted).
    """
    failures: dict[str, LaunchFailed] = {}
    to_pull: dict[str, WantedImage] = {}
    for each in dict.fromkeys(wanted):
        if (reference := reference_to_pull(engine, each)) is None:
            continue
        if each.policy == "never":
            failures[each.name] = _missing(each)
        else:
            to_pull[reference] = each
    if to_pull:
        for reference in to_pull:
            progress(PullState(reference))
        sizes = downloads(list(to_pull), engine.facts.architecture, stop)
        _check_space(engine, sizes, notice)
        pulls = {name: Pull(name, engine.facts.api_version, size, retries) for name, size in sizes.items()}
        for reference, failure in _pulled(pulls, progress, stop).items():
            if not _goes_on_without(engine, to_pull[reference], failure):
                failures[to_pull[reference].name] = _with_a_way_out(engine, to_pull[reference], failure)
    if failures:
        raise PullsFailed(failures)


def reference_to_pull(engine: Engine, wanted: WantedImage) -> str | None:
    """By what name an image is to be pulled; None where what is there will do. Raises LaunchFailed."""
    if wanted.policy == "always" and wanted.digest is None:
        return wanted.name
    if image_there(engine, wanted.name, wanted.digest):
        return None
    if wanted.digest is None:
        return wanted.name
    by_name = image_there(engine, wanted.name, None)
    if by_name is not None and (wanted.policy == "never" or not by_name.from_registry):
        # No registry ever had it, or none is to be asked: `find_image` says that it is another one now.
        return None
    return by_digest(wanted.name, wanted.digest)


def _goes_on_without(engine: Engine, wanted: WantedImage, failure: LaunchFailed) -> bool:
    """Whether what a study began with is gone for good, while its name still means something: `find_image` says so."""
    gone = wanted.digest is not None and failure.kind is FailureKind.IMAGE_MISSING
    return gone and image_there(engine, wanted.name, None) is not None


def _with_a_way_out(engine: Engine, wanted: WantedImage, failure: LaunchFailed) -> LaunchFailed:
    """`always` fails where the registry does, though an image of that name may be there."""
    if wanted.policy != "always" or image_there(engine, wanted.name, None) is None:
        return failure
    words = f"{failure.message} The engine has an image of that name, which pull: missing would take."
    return LaunchFailed(failure.kind, words)


def _missing(wanted: WantedImage) -> LaunchFailed:
    return LaunchFailed(
        FailureKind.IMAGE_MISSING,
        f"The engine has no image {wanted.name}, and pull: never says that none is to be pulled. Build it or load it "
        "(docs/containers.md), or take that line out.",
    )


def _check_space(engine: Engine, sizes: Mapping[str, int | None], notice: Callable[[str], None]) -> None:
    data_root = engine.facts.data_root
    if not is_on_this_machine(data_root):
        notice("The engine keeps its images where llem cannot look: whether there is room for them is not checked.")
    elif lacks := space_lacks(data_root, sizes):
        raise lacks


def _pulled(pulls: Mapping[str, Pull], progress: Progress, stop: Callable[[float], bool]) -> dict[str, LaunchFailed]:
    """Pull all at once; what failed, by reference. Raises LaunchFailed where we were asked to end."""
    told: dict[str, PullState] = {}
    with _running(pulls.values()):
        while True:
            states = {reference: pull.state for reference, pull in pulls.items()}
            for reference, state in states.items():
                if state is not told.get(reference):
                    progress(state)
                pulls[reference].break_off_if_silent()
            told = states
            if all(state.ended for state in states.values()):
                return {reference: pull.failure for reference, pull in pulls.items() if pull.failure}
            if stop(_LOOK_EVERY_S):
                for state in states.values():
                    progress(replace(state, ended=True))
                raise LaunchFailed(FailureKind.INTERRUPTED, "Stopped while images were pulled.")


@contextmanager
def _running(pulls: Iterable[Pull]) -> Iterator[None]:
    """Within the `with` they go on; none of them does after it."""
    for pull in pulls:
        pull.start()
    try:
        yield
    finally:
        for pull in pulls:
            pull.end()
