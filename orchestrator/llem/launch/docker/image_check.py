"""Whether runs can be made from an image: what a look inside it says, kept by the image's id.

A look costs a container's start, so what holds of an image wherever it runs is looked for once. What depends on this
machine and moment (GPUs, who can write where) is no part of that: `Inside.look` finds it out before every study.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from llem.launch.docker.engine import EngineImage
from llem.launch.docker.engine_versions import LEAST_PYTHON, is_older
from llem.launch.docker.image_facts import ImageFacts
from llem.launch.docker.image_findings import Finding, backends_in, judge, judge_engines, no_engine
from llem.launch.docker.inside import Inside
from llem.launch.docker.probe import Workplace
from llem.launch.docker.verdict import findings_of, missing_of, unusable
from llem.launch.protocol import LaunchFailed
from llem.printable import on_one_line
from llem_runner.contract import CONTRACT_VERSION, FailureKind

Workplaces = Callable[[], AbstractContextManager[Workplace]]
"""Where a look is made, if one has to be: a folder that the engine sees, as `probe.workplace` makes it."""


@dataclass(frozen=True)
class ImageReport:
    """What was found of an image. `facts` is None where nothing of ours began in it.

    `facts.torch_cuda` is the CUDA that its torch was built for.
    """

    name: str
    digest: str | None
    """None where the engine does not have it."""
    backends: tuple[str, ...]
    """Those that it was judged for."""
    findings: tuple[Finding, ...]
    facts: ImageFacts | None
    cached: bool = False
    """Whether nobody looked now: it was known from before."""

    @property
    def missing(self) -> list[Finding]:
        """Why no run can be made from it; empty where it will do."""
        return missing_of(self.findings)


def check_image(
    inside: Inside, image: EngineImage, backends: Collection[str], workplaces: Workplaces, fresh: bool = False
) -> ImageReport:
    """What is to be said of an image for runs of these backends (none named: those whose engine it has).

    A look is made where none is known of before, or with `fresh`.
    Raises LaunchFailed where the engine, not the image, is what fails; NotReadyError where no workplace can be made.
    """
    if not fresh and (facts := inside.facts_known(image)):
        judged, without = _judged_for(facts, backends)
        found = [*judge(facts, judged, inside.architecture), *without, _runner(image)]
        return ImageReport(image.name, image.digest, judged, tuple(found), facts, cached=True)
    with workplaces() as where:
        try:
            seen = inside.look_at(where, image)
        except LaunchFailed as failure:
            if failure.kind is not FailureKind.IMAGE_UNUSABLE:
                raise
            return ImageReport(
                image.name, image.digest, tuple(backends), (Finding("missing", "container", failure.message),), None
            )
    seen_facts = seen.look.image if seen.look else None
    judged, without = _judged_for(seen_facts, backends)
    found = [*findings_of(image, seen, judged, inside.architecture), *without, _runner(image)]
    return ImageReport(image.name, image.digest, judged, tuple(found), seen_facts)


def engines_known(inside: Inside, image: EngineImage) -> bool:
    """Whether a look has told which engines an image has: not those of a Python that is too old for any."""
    facts = inside.facts_known(image)
    return facts is not None and not is_older(facts.python, LEAST_PYTHON)


def check_engines(
    inside: Inside, images: Mapping[str, EngineImage], notice: Callable[[str], None] | None = None
) -> None:
    """Raise LaunchFailed where a backend's image, inside which somebody has looked, lacks its engine or has an old one.

    `notice` gets a line for each package that may be too old. Images that a look found nothing of are passed over: only
    a run can tell.
    """
    for backend, image in images.items():
        facts = inside.facts_known(image)
        found = list(judge_engines(facts, (backend,))) if facts else []
        if missing := missing_of(found):
            raise unusable(image, missing)
        for finding in found:
            if finding.level == "warning" and notice:
                notice(f"Image {image.name}: {finding.text}")


def _judged_for(facts: ImageFacts | None, backends: Collection[str]) -> tuple[tuple[str, ...], list[Finding]]:
    """The backends to judge for, and that there is none where nobody named one and the image has no engine."""
    judged = tuple(backends) or (backends_in(facts) if facts else ())
    return judged, [no_engine()] if facts and not judged else []


def _runner(image: EngineImage) -> Finding:
    own = f"; the image's own is of contract {on_one_line(image.contract)}" if image.contract else ""
    return Finding("ok", "runner", f"this llem's (contract {CONTRACT_VERSION}), mounted over the image's{own}")
