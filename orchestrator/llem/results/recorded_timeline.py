"""Anybody's recording of GPU power, read for `llem energy`: `.csv`, `.csv.gz` or `.parquet`, ours or not.

Columns `unix_s` or `monotonic_s`, `device`, and any of `counter_mj power_w power_average_w power_instant_w`; others are
ignored, and an empty cell is no reading. Rows may be irregular, and in any order.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from llem.errors import UsageError
from llem.printable import on_one_line
from llem_runner.power.series import Series
from llem_runner.power.timeline import ENERGY_COLUMNS, Timeline, TimelineError

Rows = Iterator[tuple[int, Sequence[str]]]
"""Rows as text, each with its line in the file."""


def read_timeline(path: Path, clock: str) -> Timeline:
    """The recording, by the column `clock`, each device's rows in order of time. Raises UsageError: where, and what."""
    try:
        timeline = _read_parquet(path, clock) if path.suffix == ".parquet" else _read_csv(path, clock)
    except TimelineError as error:
        raise UsageError(on_one_line(str(error))) from error
    if not timeline.devices:
        raise UsageError(on_one_line(f"{path}:1: there are no readings below the first line"))
    return Timeline(timeline.clock, {name: _in_order(series) for name, series in timeline.devices.items()})


@contextmanager
def open_table(path: Path) -> Iterator[tuple[Sequence[str], Rows]]:
    """The column names of a `.csv` or `.csv.gz` and its rows. Raises UsageError for what is none."""
    try:
        # utf-8-sig: spreadsheets begin a file with a byte order mark.
        opened: TextIO = (
            gzip.open(path, "rt", encoding="utf-8-sig", newline="")  # noqa: SIM115 - closed by the with below
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig", newline="")
        )
        with opened as stream:
            lines = csv.reader(stream, strict=True)
            header = next(lines, None)
            if header is None:
                raise UsageError(on_one_line(f"{path}:1: the file is empty"))
            yield [name.strip() for name in header], ((lines.line_num, cells) for cells in lines)
    except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UsageError(on_one_line(f"{path}: this is no CSV file ({error})")) from error
    except OSError as error:
        raise UsageError(on_one_line(f"{path}: cannot be read ({error.strerror})")) from error


def _read_csv(path: Path, clock: str) -> Timeline:
    with open_table(path) as (header, rows):
        _need_readings(header, path)
        return Timeline.of_rows(header, _without_torn_end(rows, len(header)), str(path), clock)


def _read_parquet(path: Path, clock: str) -> Timeline:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            wanted = ("device", clock, "read_s", *ENERGY_COLUMNS)
            header = [name for name in file.schema_arrow.names if name in wanted]
            _need_readings(header, path)
            batches = (batch.to_pydict() for batch in file.iter_batches(columns=header))
            return Timeline.of_rows(header, _numbered(batches, header), str(path), clock)
    except pyarrow.ArrowException as error:
        raise UsageError(on_one_line(f"{path}: this is no Parquet file ({error})")) from error
    except OSError as error:
        raise UsageError(on_one_line(f"{path}: cannot be read ({error.strerror or error})")) from error


def _numbered(batches: Iterable[dict[str, list[object]]], header: Sequence[str]) -> Rows:
    """The rows of batches as text; a row has the line that it would have in a CSV file."""
    line = 1
    for columns in batches:
        for values in zip(*(columns[name] for name in header), strict=True):
            line += 1
            yield line, ["" if value is None else str(value) for value in values]


def _need_readings(header: Sequence[str], path: Path) -> None:
    if not set(header) & set(ENERGY_COLUMNS):
        raise UsageError(on_one_line(f"{path}:1: there is none of the columns {', '.join(ENERGY_COLUMNS)}"))


def _without_torn_end(rows: Rows, cells: int) -> Rows:
    """All rows but a last one that has too few cells: whoever was writing it was killed."""
    held: tuple[int, Sequence[str]] | None = None
    for row in rows:
        if held is not None:
            yield held
        held = row
    if held is not None and len(held[1]) >= cells:
        yield held


def _in_order(series: Series) -> Series:
    """The same rows in order of time; several recorders may have written into one file."""
    middle_s = [before + after for before, after in zip(series.before_s, series.after_s, strict=True)]
    return series.rows(sorted(range(len(series)), key=middle_s.__getitem__))
