"""CPU time of `llem --help`, beside that of an empty Python: a command line that thinks before it speaks is a nuisance.

python tests/bench/help_time.py
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

RUNS = 15


def main() -> None:
    """Measure both, interleaved, and print the medians."""
    commands = {
        "llem --help": [str(Path(sys.executable).parent / "llem"), "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    taken_s: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, command in commands.items():
            taken_s[name].append(_cpu_s(command))
    for name, values in taken_s.items():
        print(
            f"{name:<16} CPU time: median {statistics.median(values):.3f} s of {RUNS} runs, worst {max(values):.3f} s"
        )


def _cpu_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


if __name__ == "__main__":
    main()
