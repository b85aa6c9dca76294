"""Host energy by a process of its own, whatever CodeCarbon in it does: a stand-in package plays it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llem_runner.power.host import UNMEASURED, HostMeter

WELL = """
class Used:
    cpu_energy, ram_energy = 1e-6, 2e-6

class OfflineEmissionsTracker:
    def __init__(self, **settings): print("Welcome to CodeCarbon!")
    def start_task(self, name): print("started", name)
    def stop_task(self, name):
        print("stopped", name, flush=True)
        return Used
"""

Measure = Callable[[str], HostMeter]


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Runs a meter from start to end with a `codecarbon.py` of the given text."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def _measure(codecarbon: str) -> HostMeter:
        (tmp_path / "codecarbon.py").write_text(codecarbon)
        meter = HostMeter()
        meter.start()
        meter.ready()
        meter.begin()
        meter.end()
        return meter

    return _measure


def test_energy_is_in_joule_and_what_the_package_prints_does_not_get_in_between(measure: Measure) -> None:
    meter = measure(WELL)
    energy = meter.energy()
    meter.close()
    meter.close()
    assert meter.problem is None
    assert (energy.cpu_j, energy.dram_j) == (pytest.approx(3.6), pytest.approx(7.2))
    assert (energy.source, energy.estimated) == ("codecarbon", True)


@pytest.mark.parametrize(
    ("codecarbon", "problem"),
    [
        ("raise ImportError('no such thing')", "CodeCarbon is not installed here (no such thing)"),
        ("raise ValueError('broken')", "CodeCarbon did not answer"),
        (WELL.replace("return Used", "raise ValueError"), "CodeCarbon did not answer"),
        (WELL.replace("1e-6, 2e-6", "float('nan'), 2e-6"), "CodeCarbon answered"),
    ],
    ids=["missing", "broken-at-import", "broken-at-the-end", "not-a-number"],
)
def test_a_package_that_fails_leaves_host_energy_unmeasured_with_the_reason(
    measure: Measure, codecarbon: str, problem: str
) -> None:
    meter = measure(codecarbon)
    assert meter.energy() == UNMEASURED
    meter.close()
    assert meter.problem is not None
    assert problem in meter.problem


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("no JSON\n", "'no JSON'"),
        ("[1]\n", "'[1]'"),
        ('{"cpu_j": 1}\n', '{"cpu_j": 1}'),
        ('{"cpu_j": "much", "dram_j": 1}\n', "much"),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_problem_and_no_crash(
    said: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = HostMeter()
    # What another version of the child might say.
    monkeypatch.setattr("sys.executable", "/bin/sh")
    monkeypatch.setattr("llem_runner.power.host.CHILD_ARGUMENTS", ["-c", f"printf '%s' '{said}'; read _"])
    meter.start()
    assert meter.energy() == UNMEASURED
    meter.close()
    assert problem in str(meter.problem)


def test_a_meter_that_was_never_started_measured_nothing() -> None:
    meter = HostMeter()
    meter.begin()
    assert meter.energy() == UNMEASURED
    meter.close()
