"""One journal append with fsync, in a journal of 10 and of 10,000 runs: its cost must not grow with the study.

python tests/bench/journal_append.py
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from llem.execution.journal import Journal

SIZES = (10, 10_000)
APPENDS = 300


def main() -> None:
    """Measure both, interleaved, and print the medians and their ratio."""
    with TemporaryDirectory(dir=Path.cwd()) as folder:
        journals = [_journal_of(Path(folder) / f"{runs}.jsonl", runs) for runs in SIZES]
        times_s: list[list[float]] = [[] for _ in SIZES]
        for number in range(APPENDS):
            for journal, taken in zip(journals, times_s, strict=True):
                start = time.perf_counter()
                journal.append("run_completed", run_id=f"{number:012d}-c1", attempt=1)
                taken.append(time.perf_counter() - start)
        medians = [statistics.median(taken) for taken in times_s]
    for runs, median in zip(SIZES, medians, strict=True):
        print(f"append at {runs:>6,} runs   median {median * 1e3:.3f} ms")
    print(f"ratio                  {medians[1] / medians[0]:.2f}")


def _journal_of(path: Path, runs: int) -> Journal:
    lines = (
        f'{{"seq": {number}, "unix_s": 1.0, "event": "run_completed", "run_id": "{number:012d}-c1", "attempt": 1}}\n'
        for number in range(1, 2 * runs + 1)
    )
    path.write_text("".join(lines))
    return Journal(path)


if __name__ == "__main__":
    main()
