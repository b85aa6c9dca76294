"""The thermal gate between runs: how long it waits for which GPUs, what it says, and what is recorded of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted_launcher import ScriptedLauncher

from llem.errors import CliExit
from llem.execution.interrupts import Interrupts
from llem.execution.journal import read_journal
from llem.execution.observer import Observer
from llem.execution.start import StudyEnd, resume_study, start_study
from llem.execution.thermal_gate import GateGivenUp, ThermalGate, idle_seen
from llem.study import parse_study
from llem.study.study_keys import GateSettings

SETTINGS = GateSettings(band_c=3, max_wait_seconds=10)


class Room:
    """GPUs whose temperatures follow a script, one step a second of waiting; and a clock that only waiting moves."""

    def __init__(self, **script: Sequence[float | None]) -> None:
        self.script = script
        self.second = 0.0
        self.notices: list[str] = []
        self.stop_at_s = float("inf")

    def read(self, uuids: Sequence[str]) -> Mapping[str, float | None]:
        return {uuid: self.script[uuid][min(int(self.second), len(self.script[uuid]) - 1)] for uuid in uuids}

    def wait(self, seconds: float) -> bool:
        self.second += seconds
        return self.second >= self.stop_at_s

    def gate(self, settings: GateSettings | None = SETTINGS, idle_c: Mapping[str, float] | None = None) -> ThermalGate:
        return ThermalGate(
            settings, self.wait, self.notices.append, idle_c=idle_c, read=self.read, clock=lambda: self.second
        )


def test_claim_8_2_the_first_run_on_a_gpu_does_not_wait_and_its_temperature_is_the_idle_one() -> None:
    room = Room(a=[55])
    passed = room.gate().pass_through(["a"])
    assert passed is not None
    assert passed.described() == {
        "band_c": 3,
        "max_wait_seconds": 10,
        "waited_s": 0,
        "reached": True,
        "gpus": {"a": {"idle_c": 55, "start_c": 55}},
    }
    assert room.notices == []


# Temperatures by second from the second run on (idle: 40), seconds waited, whether the band was reached.
COOLING: list[tuple[list[float | None], float, bool | None]] = [
    ([43], 0, True),
    ([43.5, 43.5, 43], 2, True),
    ([38], 0, True),
    ([60, 55, 50, 45, 42], 4, True),
    ([60], 10, False),
    ([60, None], 1, None),
]


@pytest.mark.parametrize(("then_c", "waited_s", "reached"), COOLING)
def test_claim_8_2_the_gate_waits_until_the_gpu_is_within_the_band_and_at_most_so_long(
    then_c: list[float | None], waited_s: float, reached: bool | None
) -> None:
    room = Room(a=then_c)
    passed = room.gate(idle_c={"a": 40}).pass_through(["a"])
    assert passed is not None
    assert (passed.waited_s, passed.reached) == (waited_s, reached)
    assert passed.gpus["a"].start_c == then_c[min(int(waited_s), len(then_c) - 1)]
    waits = [notice for notice in room.notices if "waiting at most 10 s" in notice]
    assert len(waits) == (1 if waited_s else 0)
    assert any("the run begins all the same" in notice for notice in room.notices) is (reached is False)


def test_claim_8_2_the_hottest_gpu_of_a_run_decides_and_each_has_its_own_idle_temperature() -> None:
    room = Room(a=[45, 45, 45], b=[70, 65, 62])
    passed = room.gate(idle_c={"a": 42, "b": 60}).pass_through(["a", "b"])
    assert passed is not None
    assert (passed.waited_s, passed.reached) == (2, True)
    assert "GPU b is at 70 °C, 10 °C above its idle temperature" in room.notices[0]
    assert "GPU a" not in room.notices[0]


def test_claim_8_2_a_host_that_cannot_look_says_so_once_and_does_not_wait() -> None:
    room = Room(a=[None], b=[40])
    gate = room.gate()
    for _ in range(3):
        passed = gate.pass_through(["a", "b"])
        assert passed is not None
        assert (passed.waited_s, passed.reached) == (0, None)
    [notice] = room.notices
    assert "GPU a cannot be read on this host" in notice


@pytest.mark.parametrize(("settings", "uuids"), [(None, ["a"]), (SETTINGS, [])])
def test_claim_8_2_without_a_gate_or_without_gpus_nothing_is_read_and_nothing_is_waited_for(
    settings: GateSettings | None, uuids: list[str]
) -> None:
    assert Room().gate(settings).pass_through(uuids) is None


def test_claim_8_2_a_wait_at_the_gate_can_be_interrupted() -> None:
    room = Room(a=[60])
    room.stop_at_s = 2
    with pytest.raises(GateGivenUp):
        room.gate(idle_c={"a": 40}).pass_through(["a"])


@pytest.mark.parametrize(
    ("gates", "idle_c"),
    [
        ([], {}),
        ([None, {}, {"gpus": None}, {"gpus": {"a": None, "b": {"idle_c": None}}}], {}),
        ([{"gpus": {"a": {"idle_c": 40}}}, {"gpus": {"a": {"idle_c": 41}, "b": {"idle_c": 50}}}], {"a": 40, "b": 50}),
    ],
)
def test_what_earlier_runs_recorded_is_the_idle_temperature(gates: list[Any], idle_c: dict[str, float]) -> None:
    assert idle_seen(gates) == idle_c


STUDY = """
model: builtin:tiny-llama
n: 3
execution: {n_cycles: 2, gate: {band_c: 3, max_wait_seconds: 0.02}}
"""


class Listening(Observer):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


class Thermometer:
    """What NVML of the host says, look by look; the last for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks_c: float | None) -> None:
        self.looks_c = list(looks_c)
        init = ThermalGate.__init__
        monkeypatch.setattr(ThermalGate, "__init__", lambda *a, **keys: init(*a, **{**keys, "read": self.read}))

    def read(self, uuids: Sequence[str]) -> dict[str, float | None]:
        now_c = self.looks_c.pop(0) if len(self.looks_c) > 1 else self.looks_c[0]
        return dict.fromkeys(uuids, now_c)


def run(tmp_path: Path, observer: Observer) -> tuple[StudyEnd, ScriptedLauncher]:
    launcher = ScriptedLauncher(gpus=("GPU-gate",))
    study = parse_study(STUDY + f"output: {{folder: {tmp_path / 'results'}}}\n", source=tmp_path / "s.yaml")
    return start_study(study, observer, launcher), launcher


def gates(end: StudyEnd) -> list[Any]:
    return [json.loads(path.read_text())["gate"] for path in sorted(end.folder.glob("runs/*/launch.json"))]


def test_claim_8_2_launch_json_and_the_result_record_how_each_run_came_through_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Thermometer(monkeypatch, 40, 60)
    observer = Listening()
    end, _ = run(tmp_path, observer)
    assert end.exit_code is CliExit.OK
    first, second = gates(end)
    assert (first["waited_s"], first["reached"]) == (0, True)
    assert second["waited_s"] >= 0.02
    assert (second["reached"], second["gpus"]) == (False, {"GPU-gate": {"idle_c": 40, "start_c": 60}})
    written = [json.loads(path.read_text()) for path in sorted(end.folder.glob("runs/*/result.json"))]
    assert [result["environment"]["launch"]["gate"] for result in written] == [first, second]
    assert sum("Thermal gate" in notice for notice in observer.notices) == 2


def test_claim_8_2_a_study_that_is_resumed_warm_remembers_the_idle_temperature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thermometer = Thermometer(monkeypatch, 40)
    end, _ = run(tmp_path, Observer())
    for left in end.folder.glob("runs/0002*/**/result.json"):
        left.unlink()
    thermometer.looks_c = [60]
    resumed = resume_study(end.folder, Observer(), ScriptedLauncher(gpus=("GPU-gate",)))
    assert resumed.exit_code is CliExit.OK
    assert gates(resumed)[1]["gpus"] == {"GPU-gate": {"idle_c": 40, "start_c": 60}}


def test_claim_8_2_ctrl_c_at_the_gate_ends_the_study_with_no_run_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Thermometer(monkeypatch, 40, 60)
    monkeypatch.setattr(Interrupts, "wait", lambda interrupts, seconds: interrupts.request() or True)
    end, launcher = run(tmp_path, Observer())
    assert end.exit_code is CliExit.INTERRUPTED
    assert len(launcher.started) == 1
    events = [line["event"] for line in read_journal(end.folder / "journal.jsonl")]
    assert events[-2:] == ["run_completed", "study_interrupted"]
