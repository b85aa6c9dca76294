"""Whatever a stranger writes: it is rejected in words, or every later step can work with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from results_factory import EXPERIMENT_ID, NONCE, START_S, put, result_record

from llem.printable import printable
from llem.results.complete import HostFacts, complete, write_result
from llem.results.read import Expected, ResultRejected, read_completed, read_error, read_result
from llem.results.study_result import RunOutcome, StudyRecord, build_study_result, write_study_result
from llem.results.summary import summarise
from llem_runner.contract import ExperimentResult

EXPECTED = Expected(run_id=f"{EXPERIMENT_ID}-c1", attempt=1, nonce=NONCE)
FACTS = HostFacts(EXPERIMENT_ID, 1, 1)
STUDY = StudyRecord("night", "d" * 12, START_S)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from([0, -0.0, 1e-320, 1e99, -1e99, 1e300, 2**63 - 1, -(2**63), "\ud800", "\x1b[2J", "", "x" * 3000])
    | st.text(max_size=20)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def paths(value: Any, name: str = "") -> Iterator[str]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        path = f"{name}.{key}" if name else str(key)
        yield path
        yield from paths(item, path)


def depth(path: str) -> int:
    return -path.count(".")


# Deeper ones first, so that a change never takes away the ground under the next.
PATHS = sorted(paths(result_record()), key=depth)
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SETTINGS
@given(st.dictionaries(st.sampled_from(PATHS), VALUES, min_size=1, max_size=3))
def test_claim_16_a_result_with_any_values_is_rejected_or_usable_to_the_end(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    record = result_record()
    for path in sorted(changes, key=depth):
        put(record, path, changes[path])
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "result.json").write_text(json.dumps(record), encoding="utf-8")
    found, reason = read(tmp_path)
    assert reason == printable(reason)
    if found is not None:
        use_to_the_end(tmp_path, complete(found, FACTS))


def read(folder: Path) -> tuple[ExperimentResult | None, str]:
    """The result, or why it is rejected."""
    try:
        return read_result(folder, EXPECTED), ""
    except ResultRejected as rejected:
        return None, rejected.reason


def use_to_the_end(folder: Path, found: ExperimentResult) -> None:
    write_result(folder / "result.json", found)
    assert read_completed(folder / "result.json", EXPECTED.run_id) == found
    outcomes = [RunOutcome(EXPECTED.run_id, EXPERIMENT_ID, "completed", {}, found)] * 2
    study = build_study_result(STUDY, outcomes)
    write_study_result(folder / "study_result.json", study)
    assert study.to_arrow().num_rows == 2
    assert summarise(study).rows


@SETTINGS
@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_claim_16_any_bytes_are_rejected_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "out").mkdir(exist_ok=True)
    for name in ("result.json", "error.json"):
        (tmp_path / "out" / name).write_bytes(content)
    assert read_error(tmp_path, EXPECTED) is None
    found, reason = read(tmp_path)
    assert found is None
    assert reason
