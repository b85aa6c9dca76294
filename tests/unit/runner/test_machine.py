"""What a machine tells of itself, from made-up /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem_runner.machine import machine


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


CPU = "sys/devices/system/cpu/cpu"


def test_claim_8_10_processor_governor_sockets_and_numa_nodes_are_told(tmp_path: Path) -> None:
    (tmp_path / "sys/devices/system/node/node0").mkdir(parents=True)
    (tmp_path / "sys/devices/system/node/node1").mkdir(parents=True)
    files = {"proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n\nprocessor\t: 1"}
    for cpu in range(12):
        files[f"{CPU}{cpu}/topology/physical_package_id"] = str(cpu // 6)
        files[f"{CPU}{cpu}/cpufreq/scaling_governor"] = "performance"
        files[f"{CPU}{cpu}/cpufreq/scaling_driver"] = "intel_pstate"
    write(tmp_path, files)
    told = machine(tmp_path)
    assert told["cpu_model"] == "Some CPU @ 3 GHz"
    assert (told["cpu_sockets"], told["numa_nodes"]) == (2, 2)
    assert (told["cpu_governor"], told["cpu_frequency_driver"]) == ("performance", "intel_pstate")
    assert told["memory_bytes"] > 2**20
    assert told["kernel"]


def test_claim_8_10_governors_that_differ_are_all_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        {f"{CPU}0/cpufreq/scaling_governor": "powersave", f"{CPU}1/cpufreq/scaling_governor": "performance"},
    )
    assert machine(tmp_path)["cpu_governor"] == ["performance", "powersave"]


@pytest.mark.parametrize("name", ["cpu_model", "cpu_sockets", "cpu_governor", "cpu_frequency_driver", "numa_nodes"])
def test_claim_8_10_what_a_machine_hides_is_null(tmp_path: Path, name: str) -> None:
    assert machine(tmp_path)[name] is None


def test_claim_8_10_this_machine_is_told_in_json_values() -> None:
    told = machine()
    assert told["cpu_count"] >= 1
    assert told["cpu_model"] is None or isinstance(told["cpu_model"], str)
