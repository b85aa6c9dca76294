"""Render docs/validation.md anew: real boards are estimated again, the rest is what was measured before.

    python -m tests.bench.validation [--recorder-cost FILE] [--gpu FILE]

FILE: what `make bench ARGS=recorder_cost` printed, and the JSON file that `make test-gpu` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[2]
sys.path += [str(_TESTS / "engine" / "nvml"), str(_TESTS / "support"), str(_TESTS.parent)]

from tests.bench.validation.document import MEASURED, write  # noqa: E402
from tests.bench.validation.real_part import real_boards  # noqa: E402


def main() -> None:
    """Take in what is given, and render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recorder-cost", type=Path, metavar="FILE")
    parser.add_argument("--gpu", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    parts: dict[str, Any] = {"real": real_boards()}
    if arguments.recorder_cost:
        lines = arguments.recorder_cost.read_text(encoding="utf-8").splitlines()
        parts["recorder"] = {"lines": [line for line in lines if line and not line.startswith("==")]}
    if arguments.gpu:
        # It says itself when and on what it was made.
        MEASURED.mkdir(parents=True, exist_ok=True)
        text = json.dumps(json.loads(arguments.gpu.read_text(encoding="utf-8")), indent=1, ensure_ascii=False)
        (MEASURED / "gpu.json").write_text(text + "\n", encoding="utf-8")
    print(f"written: {write(**parts)}")


if __name__ == "__main__":
    main()
