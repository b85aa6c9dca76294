"""What a look inside an image comes to: what was found, and the refusal that tells all that is missing. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from llem.launch.docker.engine import EngineImage
from llem.launch.docker.image_findings import Finding, judge, judge_container
from llem.launch.docker.image_start import why_it_did_not_begin, why_not_executed
from llem.launch.docker.probe import Seen
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind


def findings_of(image: EngineImage, seen: Seen, backends: Collection[str], architecture: str) -> list[Finding]:
    """All that was found in an image for these backends, on a machine that executes `architecture` (`amd64`)."""
    found: list[Finding] = []
    if seen.look:
        found = [*judge(seen.look.image, backends, architecture), *judge_container(seen.look)]
    elif seen.began:
        found = [Finding("warning", "look", "llem's runner begins in it; of the image itself nothing is known")]
    # Of a runner that did not begin because something is missing nothing more is to be told.
    if not seen.began and not missing_of(found):
        found.append(why_it_did_not_begin(image, architecture, seen.state, seen.said))
    return found


def missing_of(findings: Sequence[Finding]) -> list[Finding]:
    """Those for which no run can be made."""
    return [finding for finding in findings if finding.level == "missing"]


def unusable(image: EngineImage, missing: Sequence[Finding]) -> LaunchFailed:
    """The failure of an image in which this is missing."""
    lines = [f"Runs cannot be made from image {image.name}:", *(f"  {finding.text}" for finding in missing)]
    if any(finding.remedy.startswith("RUN ") for finding in missing):
        lines.append("RUN is for a Dockerfile that begins with FROM that image (docs/containers.md, Your own image).")
    return LaunchFailed(FailureKind.IMAGE_UNUSABLE, "\n".join(lines))


def in_words(image: EngineImage, architecture: str, failure: LaunchFailed) -> LaunchFailed:
    """The engine's refusal to start a container; where its python3 is the reason, in words on the image."""
    if failure.kind is not FailureKind.IMAGE_UNUSABLE:
        return failure
    finding = why_not_executed(image, architecture, None, failure.message)
    return unusable(image, [finding]) if finding else failure
