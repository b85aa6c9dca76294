"""A preflight on a machine without a container engine: its own NVML, its own disk, runs in subprocesses."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from llem_process import TINY, llem
from simulated_nvml import Settings, h100
from simulated_nvml.fixtures import SimulatedNvml

GIB = 1 << 30
FIRST, SECOND = h100(0).uuid, h100(1).uuid


def failed(stderr: str) -> list[str]:
    return [line[2:].partition(":")[0] for line in stderr.splitlines() if line.startswith("✗ ")]


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that not even root may write to."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_claim_10_7_gpus_of_others_and_too_few_of_them_are_told_together_by_the_hosts_nvml(
    simulated_nvml: SimulatedNvml, tmp_path: Path
) -> None:
    simulated_nvml.write(Settings(boards=(h100(0), h100(1, memory_used_bytes=30 * GIB))))
    engine = "backend: vllm\nvllm: {engine: {tensor_parallel_size: 4}}\n"
    (tmp_path / "s.yaml").write_text(TINY + engine + "device: cuda\nrunners: {vllm: local}\n")
    done = llem("run", "s.yaml", cwd=tmp_path, env=simulated_nvml.env)
    assert (done.returncode, failed(done.stderr)) == (3, ["GPUs", "GPU memory in use"]), done.stderr
    assert "4 GPUs of one model are needed, and 2 are there" in done.stderr
    assert f"GPU {SECOND}" in done.stderr
    assert f"execution.gpus: [{FIRST}]" in done.stderr
    assert not (tmp_path / "results").exists()


def test_claim_10_7_a_disk_that_is_too_small_and_one_that_cannot_be_written_end_it(
    tiny_disk: Path, read_only: Path, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(TINY + "device: cpu\nexecution: {n_cycles: 9}\n")
    for folder, words in ((tiny_disk, "0.1 MB free"), (read_only, "cannot be written to by this user")):
        done = llem("run", "s.yaml", "-o", folder / "results", cwd=tmp_path)
        assert (done.returncode, failed(done.stderr)) == (3, ["disk of the results"]), done.stderr
        assert words in done.stderr
        assert "-o" in done.stderr
    done = llem("doctor", "--study", "s.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
