"""`make bench`: every benchmark, one after another. `make bench ARGS="journal_append"` runs those named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# Slow ones last, so that the quick answers come first.
BENCHMARKS: dict[str, list[str]] = {
    "help_time": [],
    "journal_append": [],
    "expansion": [],
    "timeline_file": [],
    "energy_error": [],
    "recorder_cost": [],
    "preflight_time": [],
    "container_overhead": [],
    "hub_download": [],
    "image_pull": [],
    "estimate_speed": [],
    # A model whose steps take as long as real ones: on the tiny one the ratio is mostly noise.
    "backend_speed": ["--model", "builtin:smollm2-135m", "--pairs", "16", "--output-tokens", "24"],
    # The tiny model's steps take 5 ms: what is done in each shows soonest there. Pairs scatter, so there are many.
    "vllm_speed": ["--model", "builtin:tiny-llama", "--pairs", "800"],
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; 1 if any failed."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"No benchmark {unknown[0]}. There are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        path = Path(__file__).with_name(f"{name}.py")
        if subprocess.run([sys.executable, str(path), *BENCHMARKS[name]], check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
