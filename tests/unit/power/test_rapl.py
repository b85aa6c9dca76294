"""Host energy by RAPL, from a made-up tree of counters that a thread drives on while they are read."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from llem_runner.power.host import HostMeter, open_host_meter
from llem_runner.power.rapl import Counter, RaplMeter, find_counters

RANGE_UJ = 1_000_000


def domain(root: Path, folder: str, name: str, energy_uj: int = 0) -> Path:
    """A domain as the kernel shows it."""
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    put(path, energy_uj)
    return path


def put(path: Path, energy_uj: int) -> None:
    """In one step: a reader sees the old number or the new one."""
    (path / ".new").write_text(f"{energy_uj}\n")
    (path / ".new").replace(path / "energy_uj")


@pytest.fixture
def server(tmp_path: Path) -> dict[str, Path]:
    """Two sockets with their memory, and what must not be added to them."""
    return {
        "package-0": domain(tmp_path, "intel-rapl:0", "package-0", 100),
        "core": domain(tmp_path, "intel-rapl:0:0", "core", 90),
        "dram-0": domain(tmp_path, "intel-rapl:0:1", "dram", 10),
        "package-1": domain(tmp_path, "intel-rapl:1", "package-1", 200),
        "dram-1": domain(tmp_path, "intel-rapl:1:0", "dram", 20),
        "psys": domain(tmp_path, "intel-rapl:2", "psys", 500),
        "again": domain(tmp_path, "intel-rapl-mmio:0", "package-0", 100),
    }


def test_claim_8_9_packages_and_memory_add_up_and_nothing_is_counted_twice(
    tmp_path: Path, server: dict[str, Path]
) -> None:
    meter = open_host_meter(tmp_path)
    meter.start()
    meter.ready()
    for name in server:
        put(server[name], 1000)
    meter.begin()
    for name, energy_uj in {"package-0": 31_000, "package-1": 41_000, "dram-0": 6_000, "dram-1": 8_000}.items():
        put(server[name], energy_uj)
    for name in ("core", "psys", "again"):
        put(server[name], 900_000)
    meter.end()
    put(server["package-0"], 700_000)
    energy = meter.energy()
    meter.close()
    meter.close()
    assert (energy.source, energy.estimated) == ("rapl", False)
    assert energy.cpu_j == pytest.approx(0.070)
    assert energy.dram_j == pytest.approx(0.012)
    assert meter.problem is None


def test_claim_8_9_a_counter_that_returns_to_zero_again_and_again_is_added_up(tmp_path: Path) -> None:
    package = domain(tmp_path, "intel-rapl:0", "package-0", 700_000)
    meter = RaplMeter(find_counters(tmp_path), read_every_s=0.001)
    [counter] = meter.counters
    steps, step_uj = 10, 400_000

    def drive() -> None:
        for step in range(1, steps + 1):
            now_uj = (700_000 + step * step_uj) % RANGE_UJ
            put(package, now_uj)
            # The kernel's counter takes minutes for its range: here it waits for its reader instead.
            deadline_s = time.monotonic() + 30
            while counter.last_uj != now_uj and time.monotonic() < deadline_s:
                time.sleep(0.0005)

    meter.begin()
    driver = threading.Thread(target=drive)
    driver.start()
    driver.join()
    meter.end()
    assert meter.energy().cpu_j == pytest.approx(steps * step_uj / 1e6)
    assert meter.energy().dram_j is None


def test_claim_8_9_amd_shows_packages_alone(tmp_path: Path) -> None:
    domain(tmp_path, "intel-rapl:0", "package-0")
    domain(tmp_path, "intel-rapl:0:0", "core")
    assert [counter.name for counter in find_counters(tmp_path)] == ["package-0"]


def test_claim_8_9_dies_of_a_package_are_packages(tmp_path: Path) -> None:
    domain(tmp_path, "intel-rapl:0", "package-0-die-0")
    domain(tmp_path, "intel-rapl:1", "package-0-die-1")
    assert len(find_counters(tmp_path)) == 2


@pytest.mark.parametrize("broken", ["nothing", "no-folder", "unreadable", "not-a-number", "memory-alone"])
def test_claim_8_9_where_not_every_counter_can_be_read_codecarbon_is_asked(tmp_path: Path, broken: str) -> None:
    root = tmp_path / "powercap"
    if broken != "no-folder":
        root.mkdir()
    if broken in ("unreadable", "not-a-number"):
        domain(root, "intel-rapl:0", "package-0")
        second = domain(root, "intel-rapl:1", "package-1")
        (second / "energy_uj").unlink()
        if broken == "not-a-number":
            (second / "energy_uj").write_text("much\n")
    if broken == "memory-alone":
        domain(root, "intel-rapl:0", "dram")
    meter = open_host_meter(root)
    meter.close()
    assert isinstance(meter, HostMeter)


def test_claim_8_9_a_counter_that_dies_in_the_window_leaves_host_energy_unmeasured_with_the_reason(
    tmp_path: Path, server: dict[str, Path]
) -> None:
    meter = RaplMeter(find_counters(tmp_path))
    meter.begin()
    (server["package-1"] / "energy_uj").unlink()
    meter.end()
    energy = meter.energy()
    assert (energy.source, energy.cpu_j, energy.estimated) == ("none", None, False)
    assert meter.problem == "the RAPL counter package-1 could not be read (No such file or directory)"


def test_a_counter_counts_from_its_beginning_on(tmp_path: Path) -> None:
    folder = domain(tmp_path, "intel-rapl:0", "package-0", 5)
    counter = Counter(folder, "package-0", RANGE_UJ, last_uj=0)
    put(folder, 50)
    counter.begin()
    put(folder, 80)
    counter.read()
    assert counter.total_uj == 30


def test_a_run_that_fails_before_its_window_closes_the_meter(tmp_path: Path, server: dict[str, Path]) -> None:
    meter = RaplMeter(find_counters(tmp_path))
    meter.begin()
    meter.close()
    assert not any(thread.name == "rapl" for thread in threading.enumerate())
