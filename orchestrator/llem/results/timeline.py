"""The recorder's timeline, kept: `out/power.csv` (a stranger's) becomes `power.parquet` (the host's, and smaller)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from llem.atomic import write_atomically
from llem.untrusted import Untrusted, open_untrusted
from llem_runner.contract.exchange import OUT, POWER_FILE

if TYPE_CHECKING:
    import pyarrow

MAX_TIMELINE_BYTES = 4_000_000_000
"""A day at 21 readings a second of 8 devices is about 1.5 GB."""

# Whole numbers of the recorder; what is not named here is a number with a fraction, or text.
_WHOLE = ("counter_mj", "memory_used_bytes", "throttle_reasons", "compute_processes")
_TEXT = ("device",)
_COLUMNS_AT_MOST = 64


def save_timeline(run_folder: Path) -> str | None:
    """Write `power.parquet` beside the result, block by block; why not, where there is no timeline that can be read.

    Raises OSError where the file cannot be written.
    """
    import pyarrow

    try:
        with open_untrusted(run_folder, f"{OUT}/{POWER_FILE}", MAX_TIMELINE_BYTES) as source:
            schema = _schema(source.readline())
            source.seek(0)
            write_atomically(run_folder / "power.parquet", lambda target: _convert(source, target, schema))
    except Untrusted as error:
        return str(error)
    except pyarrow.ArrowInvalid as error:
        return f"{POWER_FILE} is no timeline: {error}"
    return None


def _schema(header: bytes) -> pyarrow.Schema:
    import pyarrow

    names = header.decode("utf-8", errors="replace").strip().split(",")
    if len(names) > _COLUMNS_AT_MOST:
        raise pyarrow.ArrowInvalid(f"{len(names)} columns")
    kinds = {**dict.fromkeys(_WHOLE, pyarrow.int64()), **dict.fromkeys(_TEXT, pyarrow.string())}
    return pyarrow.schema([(name, kinds.get(name, pyarrow.float64())) for name in names])


def _convert(source: BinaryIO, target: BinaryIO, schema: pyarrow.Schema) -> None:
    from pyarrow import csv, parquet

    # Without the types, a first block of empty cells would decide them.
    convert = csv.ConvertOptions(column_types=schema)
    with (
        csv.open_csv(source, convert_options=convert) as reader,
        parquet.ParquetWriter(target, schema, compression="zstd") as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
