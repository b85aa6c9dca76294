"""Results as a table: one row a run, with a schema that the model alone decides."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.atomic import write_atomically
from llem.results.flatten import columns, flatten_as, sizes
from llem_runner.contract import ExperimentResult

if TYPE_CHECKING:
    import pyarrow


def to_arrow(results: Iterable[ExperimentResult]) -> pyarrow.Table:
    """One row a result, every column present, null where nothing was measured.

    Whole numbers are int64, others float64, names and texts string, lists and free mappings JSON in a string.
    """
    import pyarrow

    rows = list(results)
    wanted = columns(*sizes(rows))
    types: dict[str, Any] = {
        "bool": pyarrow.bool_(),
        "int": pyarrow.int64(),
        "float": pyarrow.float64(),
        "text": pyarrow.string(),
        "json": pyarrow.string(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in wanted.items()])
    return pyarrow.Table.from_pylist([flatten_as(row, wanted) for row in rows], schema=schema)


def write_parquet(path: Path, results: Iterable[ExperimentResult]) -> None:
    """Write `results.parquet`, whole or not at all. Raises OSError."""
    import pyarrow.parquet

    table = to_arrow(results)
    write_atomically(path, lambda file: pyarrow.parquet.write_table(table, file))
