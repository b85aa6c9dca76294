"""Everything that is wrong is told at once, with what to do; warnings and skipped checks stop nothing."""

from __future__ import annotations

import pytest

from llem.checklist import Checklist, MachineNotReady
from llem.errors import NotReadyError


def test_claim_10_7_all_failures_are_raised_together_each_with_its_remedy() -> None:
    checklist = Checklist()
    checklist.ok("disk", "66 GB free")
    with checklist.checking("engine"):
        raise NotReadyError("No engine answers.", "Is it running (docker info)?")
    checklist.warn("memory", "1.0 GiB in use.", "End it.")
    checklist.fail("driver", "Too old.", "Update it.")
    checklist.skip("image", "as no engine answers")
    with pytest.raises(MachineNotReady) as raised:
        checklist.raise_if_failed()
    assert str(raised.value).splitlines() == [
        "This machine is not ready: of 5 checks 2 failed, and nothing was started.",
        "✗ engine: No engine answers.",
        "    Is it running (docker info)?",
        "! memory: 1.0 GiB in use.",
        "    End it.",
        "✗ driver: Too old.",
        "    Update it.",
        "– image: not checked, as no engine answers",
    ]
    assert [finding.to_json() for finding in raised.value.findings][1] == {
        "check": "engine",
        "status": "failed",
        "message": "No engine answers.",
        "remedy": "Is it running (docker info)?",
    }


def test_claim_10_7_warnings_and_checks_that_were_skipped_stop_nothing() -> None:
    checklist = Checklist()
    with checklist.checking("GPUs") as found:
        found("2 × H100")
    checklist.warn("memory", "1.0 GiB in use.")
    checklist.skip("driver", "as nothing says which CUDA it needs")
    checklist.raise_if_failed()
    assert (checklist.stands("GPUs"), checklist.stands("memory"), checklist.stands("driver")) == (True, True, False)
    assert [finding.check for finding in checklist.warnings] == ["memory"]
