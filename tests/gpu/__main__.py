"""`make test-gpu`: the checks of our energy, and of vLLM, on a real NVIDIA GPU, without Docker and without network.

    make test-gpu [ARGS="--gpu 0 --out results/gpu"]     about four minutes; nothing else may use the GPU meanwhile

It characterises the board's sensors (the counter's period, step and lag; the window of each power reading; their scope;
whether the counter adds up all of the power), compares windows with Zeus's, and measures what the recorder costs in
tokens/s. Where a vLLM for CUDA is installed, vLLM runs in every way that needs a GPU (some minutes more). It writes
gpu.json and gpu.md; docs/validation.md takes the former in.

Exit codes: 0 all holds, 1 something does not, 3 there is no GPU to measure.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(_TESTS / "engine" / "nvml"), str(_TESTS / "support"), str(_TESTS.parent)]

from tests.bench.validation.document import made  # noqa: E402
from tests.gpu.engine import vllm_checks  # noqa: E402
from tests.gpu.matmul_load import MatmulLoad  # noqa: E402
from tests.gpu.measure import Extent, measured  # noqa: E402
from tests.gpu.report import checks, markdown  # noqa: E402
from tests.gpu.speed import greedy_decoding  # noqa: E402

from llem_runner.power.outcomes import GpuLost, SensorsUnavailable  # noqa: E402
from llem_runner.power.sensors import Board, Sensors  # noqa: E402

NO_GPU = 3


class NoGpu(Exception):
    """There is nothing to measure; the message says why, on one line."""


def real_board(number: int) -> tuple[Board, list[str]]:
    """Board `number` in NVML's order, and the UUIDs of all boards, it first.

    Raises NoGpu where it is not there, or not real, or of no use.
    """
    try:
        with Sensors.open(os.environ) as sensors:
            boards = sensors.boards()
    except (SensorsUnavailable, GpuLost) as error:
        raise NoGpu(error.message) from error
    if number >= len(boards):
        raise NoGpu(f"there is no GPU {number}: NVML shows {len(boards)}")
    board = boards[number]
    if board.simulated:
        raise NoGpu(f"GPU {number} is simulated ({board.name}): these checks are for real ones")
    if board.energy_refusal:
        raise NoGpu(f"GPU {number}: {board.energy_refusal}")
    return board, [board.uuid, *(other.uuid for other in boards if other is not board)]


def cuda_device(board: Board) -> str:
    """`board` as torch names it. Raises NoGpu where torch cannot use it."""
    # As NVML shows it and no other; set before torch looks.
    os.environ["CUDA_VISIBLE_DEVICES"] = board.uuid
    import torch

    if not torch.cuda.is_available():
        raise NoGpu(f"torch {torch.__version__} cannot use {board.name}: is it a CPU build, or the driver too old?")
    return "cuda:0"


def write(found: dict[str, Any], board: Board, out: Path) -> Path:
    """gpu.json and, for people, gpu.md."""
    out.mkdir(parents=True, exist_ok=True)
    lines = list(markdown(found))
    content = {"made": made(), "device": f"{board.name}, driver {board.driver}", "found": found, "markdown": lines}
    path = out / "gpu.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    heading = f"# {content['device']}, {content['made']['date']}"
    (out / "gpu.md").write_text("\n".join([heading, "", *lines]) + "\n", encoding="utf-8")
    return path


def main() -> int:
    """Find the GPU, measure, write, judge."""
    parser = argparse.ArgumentParser(prog="test-gpu", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gpu", type=int, default=0, metavar="NUMBER", help="in NVML's order (0)")
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), metavar="FOLDER")
    arguments = parser.parse_args()
    try:
        board, uuids = real_board(arguments.gpu)
        device = cuda_device(board)
    except NoGpu as error:
        print(f"test-gpu measured nothing: {error}", file=sys.stderr)
        return NO_GPU
    print(f"{board.name}: about four minutes", file=sys.stderr)
    with TemporaryDirectory(prefix="llem-test-gpu-") as name:
        folder = Path(name)
        decode = greedy_decoding(device, folder / "model")
        load, rng = MatmulLoad(device), random.Random(1)
        found = measured(board, load, decode, folder, Extent(), rng, lambda line: print(line, file=sys.stderr))
        found["vllm"] = list(vllm_checks(uuids, folder))
    path = write(found, board, arguments.out)
    print("\n".join(markdown(found)))
    print(f"written: {path}; `python -m tests.bench.validation --gpu {path}` takes it in", file=sys.stderr)
    return 0 if all(holds for _, _, holds in checks(found)) and not found["missing"] else 1


if __name__ == "__main__":
    sys.exit(main())
