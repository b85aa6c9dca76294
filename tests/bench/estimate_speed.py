"""How long does the estimator take in 10⁶ readings (13 hours at 47 ms)? Preparing them once, then each span.

python tests/bench/estimate_speed.py
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "unit" / "power"))

from sensor_simulator import Polls, Sensor, simulate, square

from llem_runner.power.boards import board_facts
from llem_runner.power.estimate import Estimator

READINGS = 1_000_000
PERIOD_S = 0.047
SPANS = 200


def main() -> None:
    """One recording of each kind of board; spans of 1 s to an hour, none asked for twice."""
    length_s = READINGS * PERIOD_S
    curve = square(100, 500, 0.75)
    kinds = {"counter": (True, False), "power": (False, False), "average_power": (False, True)}
    print(f"{READINGS:,} readings; time per span over {SPANS} spans")
    for kind, (has_counter, average) in kinds.items():
        rng = random.Random(1)
        sensor = Sensor(has_counter=has_counter, has_instant=not average, has_average=average, step_jitter_s=0.0015)
        series = simulate(curve, sensor, Polls(PERIOD_S), length_s, rng)
        began = time.perf_counter()
        estimator = Estimator(series, board_facts("NVIDIA H100 80GB HBM3"))
        prepared_s = time.perf_counter() - began
        for span_s in (1.0, 60.0, 3600.0):
            taken_s = []
            for _ in range(SPANS if span_s < 3600 else SPANS // 10):
                start_s = rng.uniform(10, length_s - span_s - 10)
                began = time.perf_counter()
                found = estimator.energy(start_s, start_s + span_s)
                taken_s.append(time.perf_counter() - began)
                if found.method != kind:
                    sys.exit(f"{kind}: {found.refusal or found.method}")
            median_ms, worst_ms = 1000 * statistics.median(taken_s), 1000 * max(taken_s)
            print(
                f"{kind:14} prepared in {prepared_s:5.1f} s   {span_s:5.0f} s: median {median_ms:7.1f} ms, "
                f"worst {worst_ms:7.1f} ms"
            )


if __name__ == "__main__":
    main()
