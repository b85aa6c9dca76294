"""Studies of several experiments, with known values, for tests of what is said of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from results_factory import START_S, result

from llem.results.comparison import Comparison, Ratio
from llem.results.study_result import RunOutcome, StudyRecord, StudyResult, build_study_result

LOW, HIGH = [0.500, 0.504, 0.498], [0.800, 0.810, 0.795]
"""J/output token of two experiments that differ."""


def outcomes(
    name: str,
    swept: Mapping[str, Any],
    values_j: Sequence[float | None],
    tokens_per_s: Sequence[float] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> list[RunOutcome]:
    """An experiment's cycles by their J/output token and tokens/s, each with energy bounds of ± 0.5 %.

    What is swept is in the configuration as well. `changes` are as in `result_record`.
    """
    speeds = tokens_per_s or [100.0 + cycle + len(name) / 7 for cycle in range(len(values_j))]
    made = []
    for cycle, (value_j, speed) in enumerate(zip(values_j, speeds, strict=True), start=1):
        own = {
            "run_id": f"{name}-c{cycle}",
            "experiment_id": name,
            "cycle": cycle,
            "experiment": configuration(swept),
            "backend": swept.get("backend", "pytorch"),
            "throughput.output_tokens_per_s": speed,
            "energy.per_output_token_j": value_j,
        }
        found = result({**own, **(changes or {})})
        made.append(RunOutcome(found.run_id, name, "completed", dict(swept), found))
    return made


def configuration(swept: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment with these values at these dotted paths."""
    whole: dict[str, Any] = {"model": "builtin:tiny-llama", "output_length": "fixed"}
    for path, value in swept.items():
        *above, last = path.split(".")
        place = whole
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return whole


def study_of(*experiments: Sequence[RunOutcome]) -> StudyResult:
    """The study of these experiments, in this order."""
    return build_study_result(
        StudyRecord("night", "d" * 12, START_S), [outcome for runs in experiments for outcome in runs]
    )


def two(
    one: Sequence[RunOutcome] | None = None, other: Sequence[RunOutcome] | None = None
) -> tuple[StudyResult, Comparison]:
    """A study of pytorch, which needs `HIGH`, and vllm, which needs `LOW`, and its only comparison."""
    study = study_of(
        one or outcomes("p", {"backend": "pytorch"}, HIGH), other or outcomes("v", {"backend": "vllm"}, LOW)
    )
    (found,) = study.comparisons
    return study, found


def energy(found: Comparison) -> Ratio:
    """The ratio of J/output token of a pair that is compared."""
    assert found.energy_per_output_token is not None
    return found.energy_per_output_token
