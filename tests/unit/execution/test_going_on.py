"""A study that goes on after its host died: what was left is taken first, and nothing is other than it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from notices import Notices
from scripted_launcher import ScriptedLauncher, completes, exits

from llem.checklist import Checklist
from llem.ended import Ended
from llem.errors import CliExit, NotReadyError
from llem.execution.observer import Observer
from llem.execution.preflight import refuse_other_gpus
from llem.execution.start import StudyEnd, resume_study, start_study
from llem.launch.gpu_drain import GpuDrain
from llem.launch.gpu_lease import leased
from llem.launch.protocol import Attempt, Place, Poll
from llem.study import parse_study
from llem_runner.contract import Allocation
from llem_runner.contract.result import Image

A, B = "GPU-a", "GPU-b"
GIB = 1 << 30
STUDY = "model: builtin:tiny-llama\nsweep: {n: [1, 2]}\noutput: {folder: %s}\nexecution: {timeout_seconds: 500}\n"


@dataclass
class Played(ScriptedLauncher):
    """Has images, and remembers the places of runs."""

    image = "today:1"
    places: list[tuple[str, ...]] = field(default_factory=list)

    def prepare(
        self,
        backends: Sequence[str],
        images: Mapping[str, str],
        parent: Path,
        checklist: Checklist,
        resumed: str | None = None,
    ) -> dict[str, Image]:
        return {backend: Image(name=self.image, digest=f"sha256:{self.image}") for backend in backends}

    def start(self, attempt: Attempt, place: Place) -> str:
        self.places.append(place.gpu_uuids)
        (attempt.folder / "in" / "allocation.json").write_text(
            Allocation(host=place.host, gpu_uuids=place.gpu_uuids, model_path=attempt.model_path).model_dump_json()
        )
        return super().start(attempt, place)


class Dies(Played):
    """Its host dies while the first run goes on, in an image of then."""

    image = "then:1"

    def start(self, attempt: Attempt, place: Place) -> str:
        super().start(attempt, place)
        raise SystemExit


class Finds(Played):
    """What the dead host started still runs, and ends as `left` says; None: when it is stopped."""

    left: Callable[[Attempt], Ended] | None = staticmethod(completes)

    def find(self, attempt: Attempt) -> str | None:
        self._folders[attempt.handle] = attempt.folder
        self._ends[attempt.handle] = self.left(attempt) if self.left else Ended(143)
        return attempt.handle

    def poll(self, handle: str, offset: int) -> Poll:
        poll = super().poll(handle, offset)
        return poll if self.left or self.started else Poll(poll.events, None)


def died(tmp_path: Path, launcher: ScriptedLauncher) -> Path:
    """A study whose host died in its first run; its folder."""
    study = parse_study(STUDY % (tmp_path / "results"), source=tmp_path / "s.yaml")
    with pytest.raises(SystemExit):
        start_study(study, Observer(), launcher)
    [folder] = (tmp_path / "results").iterdir()
    return folder


def results_of(folder: Path) -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("runs/*/result.json"))]


def lines_of(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def went_well(end: StudyEnd) -> bool:
    return end.exit_code is CliExit.OK


@pytest.mark.parametrize("goes_on", [True, False], ids=["adopted", "left in out/"])
def test_claim_6_10_a_result_that_was_left_names_the_image_that_it_was_made_in(tmp_path: Path, goes_on: bool) -> None:
    folder = died(tmp_path, Dies())
    launcher = Finds(survives_host=True) if goes_on else Played()
    assert went_well(resume_study(folder, Observer(), launcher))
    assert [result["image"]["name"] for result in results_of(folder)] == ["then:1", "today:1"]
    assert results_of(folder)[0]["image"]["digest"] == "sha256:then:1"


def test_claim_6_10_what_was_left_is_taken_though_nothing_more_can_run(tmp_path: Path) -> None:
    class NoImage(Finds):
        def prepare(self, *_: Any, **__: Any) -> dict[str, Image]:
            raise NotReadyError("image_missing: it is gone")

    folder = died(tmp_path, Dies())
    with pytest.raises(NotReadyError, match="image_missing"):
        resume_study(folder, Observer(), NoImage(survives_host=True))
    assert [result["attempt"] for result in results_of(folder)] == [1]
    launcher = Played()
    assert went_well(resume_study(folder, Observer(), launcher))
    assert len(launcher.started) == 1


def test_claim_6_10_the_failure_of_a_run_that_went_on_alone_is_told_and_it_runs_again(tmp_path: Path) -> None:
    folder = died(tmp_path, Dies(script=exits(3)))
    launcher, observer = Finds(survives_host=True), Notices()
    launcher.left = exits(7)
    assert went_well(resume_study(folder, observer, launcher))
    failed = [line for line in lines_of(folder) if line["event"] == "run_failed"]
    assert [line["kind"] for line in failed] == ["inference"]
    assert any("went on without its llem, failed (inference)" in notice for notice in observer.notices)
    assert [number for _, number in launcher.started] == [2, 1]


def test_claim_6_10_the_time_of_a_run_counts_from_its_start_also_after_its_host_died(tmp_path: Path) -> None:
    folder = died(tmp_path, Dies(script=exits(3)))
    [launch] = folder.glob("runs/*/launch.json")
    change(launch, started_unix_s=json.loads(launch.read_text())["started_unix_s"] - 1000)
    launcher = Finds(survives_host=True)
    launcher.left = None
    assert went_well(resume_study(folder, Observer(), launcher))
    assert [line["kind"] for line in lines_of(folder) if line["event"] == "run_failed"] == ["timeout"]


def test_claim_6_12_a_gpu_that_a_run_leaves_full_which_went_on_alone_is_used_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fills(Finds):
        def memory_used(self, gpu_uuids: Sequence[str]) -> dict[str, int | None]:
            return {uuid: 40 * GIB if uuid == A else 0 for uuid in gpu_uuids}

    monkeypatch.setattr("llem.execution.gpu_use.GpuDrain", partial(GpuDrain, patience_s=0.0))
    folder = died(tmp_path, Dies(gpus=(A, B)))
    [launch] = folder.glob("runs/*/launch.json")
    change(launch, memory_before_bytes={A: 0})
    launcher, observer = Fills(gpus=(A, B), survives_host=True), Notices()
    assert went_well(resume_study(folder, observer, launcher))
    assert any(notice.startswith(f"GPU {A} is used no more in this study: 40.0 GiB") for notice in observer.notices)
    assert launcher.places == [(B,)]


@pytest.mark.parametrize("then", [(A,), ()], ids=["GPU to none", "none to GPU"])
def test_claim_6_5_a_study_does_not_go_on_on_the_cpu_that_began_on_a_gpu_nor_the_other_way(
    tmp_path: Path, then: tuple[str, ...]
) -> None:
    folder = died(tmp_path, Dies(gpus=then))
    launcher = Played(gpus=() if then else (A,))
    with pytest.raises(NotReadyError, match=r"This study began with (a GPU|no NVIDIA GPU), and now there is"):
        resume_study(folder, Observer(), launcher)
    assert launcher.started == []
    assert went_well(resume_study(folder, Observer(), Played(gpus=then)))


@pytest.mark.parametrize(
    ("began", "now", "refused"),
    [
        (None, ["H100"], False),
        (["H100"], ["H100"], False),
        (["H100"], ["A100", "H100"], False),
        (["H100"], ["A100"], True),
        (["H100", "A100"], ["A100"], True),
        (["H100"], [], True),
        ([], ["H100"], True),
        ([], [], False),
    ],
)
def test_claim_6_5_gpus_of_other_models_are_refused(began: list[str] | None, now: list[str], refused: bool) -> None:
    if not refused:
        refuse_other_gpus(began, now)
        return
    with pytest.raises(NotReadyError, match="could not be compared"):
        refuse_other_gpus(began, now)


def test_claim_6_5_a_study_goes_on_on_gpus_of_the_model_that_it_began_with(tmp_path: Path) -> None:
    class TwoModels(Played):
        def capacity(self) -> list[Place]:
            return [Place("localhost", "another GPU", (B,)), Place("localhost", "a GPU", (A,))]

    folder = died(tmp_path, Dies(gpus=(A,)))
    launcher = TwoModels()
    assert went_well(resume_study(folder, Observer(), launcher))
    assert set(launcher.places) == {(A,)}


def test_claim_6_10_a_run_in_hand_in_another_engine_is_not_run_a_second_time(tmp_path: Path) -> None:
    folder = died(tmp_path, Dies(engine_id="one"))
    launcher = Played(engine_id="other")
    for _ in range(2):
        with pytest.raises(NotReadyError, match="a container of another engine") as refused:
            resume_study(folder, Observer(), launcher)
    assert launcher.started == []
    [run] = folder.glob("runs/0001-*")
    assert f"rm -r {run}, then resume" in str(refused.value)
    shutil.rmtree(run)
    assert went_well(resume_study(folder, Observer(), launcher))


def test_claim_6_5_a_study_takes_the_gpu_that_is_free_and_stays_on_it(tmp_path: Path, locks: Path) -> None:
    study = parse_study(STUDY % (tmp_path / "results"), source=tmp_path / "s.yaml")
    launcher, observer = Played(gpus=(A, B)), Notices()
    with leased([A], lambda seconds: False, print, folder=locks) as _:
        assert went_well(start_study(study, observer, launcher))
    assert launcher.places == [(B,), (B,)]
    assert not any("waiting" in notice for notice in observer.notices)
