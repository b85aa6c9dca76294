"""GPUs over a study: what was left on them is waited for, and who cannot look says nothing against them."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from notices import Notices
from scripted_launcher import ScriptedLauncher

from llem.errors import CliExit, NotReadyError
from llem.execution.observer import Observer
from llem.execution.start import StudyEnd, resume_study, start_study
from llem.launch.gpu_lease import leased
from llem.launch.protocol import Attempt, LaunchFailed, Place
from llem.study import parse_study
from llem_runner.contract import Allocation, FailureKind

GPU = "GPU-4e5a"
STUDY = "model: builtin:tiny-llama\nsweep: {n: [1, 2]}\noutput: {folder: %s}\n"


class Blind(ScriptedLauncher):
    """Cannot look at its GPU's memory once a run has been started."""

    why: Exception

    def memory_used(self, gpu_uuids: Sequence[str]) -> Mapping[str, int | None]:
        if self.started:
            raise self.why
        return dict.fromkeys(gpu_uuids, 0)


def start(tmp_path: Path, launcher: ScriptedLauncher, observer: Observer) -> StudyEnd:
    study = parse_study(STUDY % (tmp_path / "results"), source=tmp_path / "s.yaml")
    return start_study(study, observer, launcher)


@pytest.mark.parametrize(
    "why", [LaunchFailed(FailureKind.ENGINE_UNREACHABLE, "no engine"), NotReadyError("no room")], ids=["engine", "disk"]
)
def test_claim_6_12_who_cannot_look_at_a_gpu_does_not_call_it_unhealthy(tmp_path: Path, why: Exception) -> None:
    launcher, observer = Blind(gpus=(GPU,)), Notices()
    launcher.why = why
    end = start(tmp_path, launcher, observer)
    assert end.exit_code is CliExit.OK
    assert len(launcher.started) == 2
    assert f"Whether the GPUs are empty again after the run is not known: {why}" in observer.notices


class DiesAfterAllocating(ScriptedLauncher):
    """Its host dies when the run has its GPU."""

    def start(self, attempt: Attempt, place: Place) -> str:
        (attempt.folder / "in" / "allocation.json").write_text(
            Allocation(host=place.host, gpu_uuids=place.gpu_uuids, model_path=attempt.model_path).model_dump_json()
        )
        raise SystemExit


class Finds(ScriptedLauncher):
    """What the dead host started still runs."""

    def find(self, attempt: Attempt) -> str | None:
        return attempt.handle


class PressesCtrlC(Notices):
    """Does not want to wait for a GPU."""

    def notice(self, message: str) -> None:
        super().notice(message)
        if "in use by another llem run" in message:
            os.kill(os.getpid(), signal.SIGINT)


def test_claim_6_10_ctrl_c_while_the_gpu_of_a_run_that_was_left_is_waited_for_ends_in_order(
    tmp_path: Path, locks: Path
) -> None:
    with pytest.raises(SystemExit):
        start(tmp_path, DiesAfterAllocating(gpus=(GPU,)), Observer())
    [folder] = (tmp_path / "results").iterdir()
    launcher, observer = Finds(gpus=(GPU,), survives_host=True), PressesCtrlC()
    with leased([GPU], lambda seconds: False, lambda message: None, folder=locks):
        end = resume_study(folder, observer, launcher)
    assert end.exit_code is CliExit.INTERRUPTED
    assert launcher.started == []
