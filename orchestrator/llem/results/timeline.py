"""The recorder's timeline, kept: `out/power.csv` (a stranger's) becomes `power.parquet` (the host's, and smaller)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from llem.atomic import write_atomically
from llem.untrusted import Untrusted, open_untrusted
from llem_runner.contract.exchange import OUT, POWER_FILE
from llem_runner.power.readings import HEADER

if TYPE_CHECKING:
    import pyarrow

MAX_TIMELINE_BYTES = 4_000_000_000
"""A day at 21 readings a second of 8 devices is about 1.8 GB."""

# Whole numbers of the recorder; what is not named here is a number with a fraction, or text.
_WHOLE = ("counter_mj", "memory_used_bytes", "throttle_reasons", "compute_processes")
_TEXT = ("device",)


def save_timeline(run_folder: Path) -> str | None:
    """Write `power.parquet` beside the result, block by block; why not, where there is no timeline that can be read.

    Raises OSError where the file cannot be written.
    """
    import pyarrow

    try:
        with open_untrusted(run_folder, f"{OUT}/{POWER_FILE}", MAX_TIMELINE_BYTES) as source:
            # Exactly the recorder's columns: what a stranger writes decides neither the schema nor how much is read.
            if source.readline(len(HEADER) + 1) != HEADER.encode():
                return f"{POWER_FILE} is no timeline: its first line does not name the recorder's columns"
            source.seek(0)
            write_atomically(run_folder / "power.parquet", lambda target: _convert(source, target))
    except Untrusted as error:
        return str(error)
    except (pyarrow.ArrowException, ValueError):
        # In what they say they quote the file, which is a stranger's.
        return f"{POWER_FILE} is no timeline: a cell is not of its column's kind, or a line is not of its length"
    return None


def _convert(source: BinaryIO, target: BinaryIO) -> None:
    import pyarrow
    from pyarrow import csv, parquet

    kinds = {**dict.fromkeys(_WHOLE, pyarrow.int64()), **dict.fromkeys(_TEXT, pyarrow.string())}
    schema: pyarrow.Schema = pyarrow.schema(
        [(name, kinds.get(name, pyarrow.float64())) for name in HEADER.strip().split(",")]
    )
    # Without the types, a first block of empty cells would decide them.
    convert = csv.ConvertOptions(column_types=schema)
    with (
        csv.open_csv(source, convert_options=convert) as reader,
        parquet.ParquetWriter(target, schema, compression="zstd") as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
