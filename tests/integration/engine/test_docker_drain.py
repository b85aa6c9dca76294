"""A GPU whose memory does not come back after a run is used no more."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, NOTHING, acts, kinds, left_of
from acted_runs import launched, run_folder
from docker_engine import Engine, SimulatedGpus
from docker_engine.gpus import DEFAULT_BOARDS
from llem_process import journal
from simulated_nvml import Settings, h100

from llem import load_study
from llem.errors import CliExit
from llem.execution.observer import Observer
from llem.execution.plan_file import PlannedRun
from llem.execution.start import resume_study, start_study
from llem.launch.gpu_drain import GpuDrain

FIRST, SECOND = h100(0).uuid, h100(1).uuid
GIB = 1 << 30


class Fills(Observer):
    """Fills the memory of boards while a run goes on: `used[sequence]` are GiB in use on each from then on."""

    def __init__(self, gpus: SimulatedGpus, used: dict[int, tuple[int, int]]) -> None:
        self._gpus = gpus
        self._used = used
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def run_started(self, run: PlannedRun) -> None:
        if run.sequence in self._used:
            boards = [h100(i, memory_used_bytes=gib * GIB) for i, gib in enumerate(self._used[run.sequence])]
            self._gpus.write(Settings(boards=tuple(boards)))


def test_claim_6_12_a_gpu_that_keeps_its_memory_is_used_no_more_and_without_any_other_the_study_ends_with_3(
    client: Any, actor: str, engine: Engine, engine_gpus: SimulatedGpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("llem.execution.gpu_use.GpuDrain", partial(GpuDrain, patience_s=2.0))
    (tmp_path / "s.yaml").write_text(acts(GOOD, GOOD, GOOD, device="auto"))
    fills = Fills(engine_gpus, {1: (40, 0), 2: (40, 30)})
    end = start_study(load_study(tmp_path / "s.yaml"), fills)
    assert (end.exit_code, end.reason) == (CliExit.NOT_READY, "no_healthy_gpu")
    assert kinds(end.folder) == ["completed", "completed"]
    assert [launched(end.folder, sequence)["place"]["gpu_uuids"] for sequence in (1, 2)] == [[FIRST], [SECOND]]
    told = [notice for notice in fills.notices if "is used no more in this study" in notice]
    assert [notice.split()[1] for notice in told] == [FIRST, SECOND]
    assert "40.5 GiB of its memory are still in use 2 s after the run" in told[0]
    assert any(notice.startswith("No healthy GPU is left for this study") for notice in fills.notices)
    assert journal(end.folder)[-1]["reason"] == "no_healthy_gpu"
    assert left_of(client, tmp_path) == NOTHING

    before = [(run_folder(end.folder, sequence) / "result.json").read_bytes() for sequence in (1, 2)]
    engine_gpus.write(DEFAULT_BOARDS)
    resumed = resume_study(end.folder, Observer())
    assert resumed.exit_code == CliExit.OK
    assert [(run_folder(end.folder, sequence) / "result.json").read_bytes() for sequence in (1, 2)] == before
    assert launched(end.folder, 3)["place"]["gpu_uuids"] == [FIRST]
    assert left_of(client, tmp_path) == NOTHING
