"""`images/cuda_toolkit.sh`: the CUDA toolkit that comes in packages, as compilers and linkers look for one."""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "cuda_toolkit.sh"


def test_claim_10_1_a_toolkit_of_packages_is_found_under_the_names_that_compilers_look_for(tmp_path: Path) -> None:
    toolkit = tmp_path / "lib/python3.11/site-packages/nvidia/cu13"
    for name in ("bin/nvcc", "lib/libcudart.so.13"):
        (toolkit / name).parent.mkdir(parents=True)
        (toolkit / name).touch(mode=0o755)
    subprocess.run(["sh", SCRIPT, tmp_path], check=True)
    for name in ("bin/nvcc", "lib64/libcudart.so"):
        assert (tmp_path / "cuda" / name).is_file()


def test_claim_10_1_without_a_toolkit_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "lib/python3.11/site-packages/nvidia/nvtx").mkdir(parents=True)
    subprocess.run(["sh", SCRIPT, tmp_path], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["lib"]
