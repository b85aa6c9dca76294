"""Expansion of 100,000 experiments: seconds and peak memory, against as many pydantic validations alone.

python tests/bench/expansion.py [--json]
"""

from __future__ import annotations

import json
import resource
import sys
import time

STUDY = """
model: builtin:tiny-llama
n: 50
decoder: {do_sample: true}
execution: {n_cycles: 1, cycle_order: shuffled}
sweep:
  precision: [fp32, bf16]
  cache:
    - {}
    - {pytorch.cache_implementation: [static, dynamic], pytorch.use_cache: true}
  decoder.temperature: {min: 0.1, max: 1, num: 19}
  max_output_tokens: {min: 1, max: 50, num: 50}
  pytorch.batch_size: {min: 1, max: 9, num: 9}
  warmup.window_size: [3, 4]
"""
MIB = 1024


def peak_mib() -> float:
    """Peak resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def main() -> None:
    """Expand, hash and list; then validate as many configurations, for comparison."""
    from llem.study import make_plan, parse_study
    from llem_runner.contract import ExperimentConfig

    started_s = time.perf_counter()
    plan = make_plan(parse_study(STUDY, source="bench.yaml"))
    expanded_s = time.perf_counter() - started_s
    listed = sum(len(run.run_id) for run in plan.runs)
    total_s = time.perf_counter() - started_s
    peak = peak_mib()

    values = plan.experiments[next(iter(plan.experiments))].model_dump(exclude_defaults=True)
    started_s = time.perf_counter()
    for _ in range(plan.declared):
        ExperimentConfig.model_validate(values)
    validated_s = time.perf_counter() - started_s

    figures = {
        "declared": plan.declared,
        "unique": len(plan.experiments),
        "skipped": len(plan.skipped),
        "expand_and_hash_s": round(expanded_s, 2),
        "listed_too_s": round(total_s, 2),
        "peak_rss_mib": round(peak),
        "pydantic_validations_alone_s": round(validated_s, 2),
        "run_id_characters": listed,
    }
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
