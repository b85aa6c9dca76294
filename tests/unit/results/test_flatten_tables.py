"""`results.parquet`: names of `result.json` joined by dots, with types that no run can change."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from results_factory import result, result_record

from llem.results.flatten import columns, flatten
from llem.results.tables import to_arrow, write_parquet

NO_GPU = {
    "energy.source": "none",
    **dict.fromkeys([f"energy.{name}" for name in ("method", "total_j", "lower_j", "upper_j", "idle_power_w")]),
    "energy.devices": [],
    "latency.request_s": None,
    "recorder": None,
    "phases": [],
}
SYNTHETIC = {"experiment.dataset": {"input_len": 32, "output_len": 8}}
TWO_BOARDS = {"energy.devices": [{**result_record()["energy"]["devices"][0], "uuid": f"GPU-{n}"} for n in (0, 1)]}


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and name not in ("environment", "experiment.passthrough_kwargs"):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and name in ("energy.devices", "phases"):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{name}.{index}")
    else:
        yield name, value


@pytest.mark.parametrize("changes", [{}, NO_GPU, SYNTHETIC, TWO_BOARDS])
def test_claim_2_every_name_of_result_json_is_a_column_with_its_value(changes: dict[str, Any]) -> None:
    one = result(changes)
    row = flatten(one)
    for name, value in leaves(one.model_dump(mode="json")):
        found = row.get(name)
        assert (json.loads(str(found)) if isinstance(value, (list, dict)) else found) == value, name


def test_the_schema_is_the_models_and_not_the_runs() -> None:
    schemas = [to_arrow([result(changes)]).schema for changes in ({}, NO_GPU, SYNTHETIC)]
    assert schemas[0] == schemas[1] == schemas[2] == to_arrow([]).schema
    assert schemas[0].names == list(columns())


TYPES = {
    "energy.total_j": pa.float64(),
    "energy.devices.0.total_j": pa.float64(),
    "energy.devices.0.index": pa.int64(),
    "phases.5.energy_j": pa.float64(),
    "tokens.output": pa.int64(),
    "simulated": pa.bool_(),
    "thermal.reasons": pa.string(),
    "environment": pa.string(),
    "quality.checks": pa.string(),
    "experiment.precision": pa.string(),
    "experiment.decoder.temperature": pa.float64(),
    "experiment.dataset": pa.string(),
    "experiment.dataset.input_len": pa.int64(),
    "experiment.pytorch.batch_size": pa.int64(),
    "experiment.pytorch.early_stopping": pa.string(),
    "experiment.pytorch.device_map": pa.string(),
    "experiment.vllm.engine.gpu_memory_utilization": pa.float64(),
    "experiment.vllm.beam_search.beam_width": pa.int64(),
    "experiment.lora.adapter_path": pa.string(),
}


@pytest.mark.parametrize("name", TYPES)
def test_column_types_come_from_the_annotations(name: str) -> None:
    assert to_arrow([]).schema.field(name).type == TYPES[name]


def test_a_value_that_is_text_or_a_section_has_both() -> None:
    text, section = flatten(result()), flatten(result(SYNTHETIC))
    assert (text["experiment.dataset"], text["experiment.dataset.input_len"]) == ("builtin", None)
    assert (section["experiment.dataset"], section["experiment.dataset.input_len"]) == (None, 32)


def test_more_boards_make_more_columns_and_null_for_the_others() -> None:
    table = to_arrow([result(), result(TWO_BOARDS)])
    assert table.column("energy.devices.1.uuid").to_pylist() == [None, "GPU-1"]


def test_claim_20_parquet_is_read_back_the_same_and_nothing_else_is_left(tmp_path: Path) -> None:
    results = [result(), result(NO_GPU)]
    write_parquet(tmp_path / "results.parquet", results)
    assert pyarrow.parquet.read_table(tmp_path / "results.parquet").equals(to_arrow(results))
    assert [path.name for path in tmp_path.iterdir()] == ["results.parquet"]


def test_a_study_without_results_is_a_table_without_rows(tmp_path: Path) -> None:
    write_parquet(tmp_path / "results.parquet", [])
    assert pyarrow.parquet.read_table(tmp_path / "results.parquet").num_rows == 0


def test_heavy_packages_are_imported_only_when_they_are_needed() -> None:
    rooms = ("complete", "diagnose", "open_study", "read", "study_result", "summary", "tables")
    code = (
        f"import sys; {'; '.join(f'import llem.results.{room}' for room in rooms)}; import llem.study.datasets; "
        "print([name for name in ('pyarrow', 'scipy', 'pandas', 'numpy', 'docker', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
