"""The recorder's timeline, kept: `out/power.csv` (a stranger's) becomes `power.parquet` (the host's, and smaller).

Readings are raw, as the sensors gave them: no gain is taken out. What they are readings of is in the file's own
metadata, as JSON: `llem.run`, `llem.phases` (spans by the column `unix_s`), `llem.boards`; each column's unit is in the
column's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from llem.atomic import write_atomically
from llem.untrusted import Untrusted, open_untrusted
from llem_runner.contract import ExperimentResult
from llem_runner.contract.exchange import OUT, POWER_FILE
from llem_runner.contract.result import Phase, Window
from llem_runner.power.readings import HEADER

if TYPE_CHECKING:
    import pyarrow

MAX_TIMELINE_BYTES = 4_000_000_000
"""A day at 21 readings a second of 8 devices is about 1.8 GB."""

# What is not named here is a number with a fraction.
_WHOLE = ("counter_mj", "memory_used_bytes", "throttle_reasons", "compute_processes")
_TEXT = ("device",)
UNITS = {
    "monotonic_s": "s",
    "unix_s": "s",
    "device": "UUID",
    "counter_mj": "mJ",
    "power_w": "W",
    "power_average_w": "W",
    "power_instant_w": "W",
    "temperature_c": "°C",
    "sm_clock_mhz": "MHz",
    "memory_clock_mhz": "MHz",
    "utilisation_percent": "%",
    "memory_used_bytes": "B",
    "throttle_reasons": "NVML's bit mask",
    "compute_processes": "count",
    "read_s": "s",
}
# Times never repeat and differ in their last digits; a counter rises by little. Readable by pandas, DuckDB, Spark.
_ENCODINGS = {"monotonic_s": "BYTE_STREAM_SPLIT", "unix_s": "BYTE_STREAM_SPLIT", "counter_mj": "DELTA_BINARY_PACKED"}
_BLOCK_BYTES = 16 * 2**20


def save_timeline(run_folder: Path, result: ExperimentResult) -> str | None:
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
            schema = _schema(described(result))
            write_atomically(run_folder / "power.parquet", lambda target: _convert(source, target, schema))
    except Untrusted as error:
        return str(error)
    except (pyarrow.ArrowException, ValueError):
        # In what they say they quote the file, which is a stranger's.
        return f"{POWER_FILE} is no timeline: a cell is not of its column's kind, or a line is not of its length"
    return None


def described(result: ExperimentResult) -> dict[str, str]:
    """The file's metadata: what was run, when its phases were, and which boards were read."""
    content = {
        "llem.run": {
            **{name: getattr(result, name) for name in ("run_id", "experiment_id", "cycle", "attempt", "simulated")},
            "backend": result.backend,
            "model": result.experiment.model,
            "window": _span(result.window),
        },
        "llem.phases": [{"name": phase.name, **_span(phase)} for phase in result.phases],
        "llem.boards": list(_boards(result)),
    }
    return {key: json.dumps(value) for key, value in content.items()}


def _span(of: Window | Phase) -> dict[str, float]:
    return {"start_unix_s": of.start_unix_s, "end_unix_s": of.end_unix_s}


def _boards(result: ExperimentResult) -> list[dict[str, Any]]:
    """Each board with what the environment says of it; its gain, which is not in the readings, beside."""
    gpus = result.environment.get("gpus")
    known: dict[str, dict[str, Any]] = {}
    for gpu in gpus if isinstance(gpus, list) else ():
        # A stranger's words: any JSON may be there.
        if isinstance(gpu, dict) and isinstance(gpu.get("uuid"), str):
            known[gpu["uuid"]] = gpu
    return [
        {
            **known.get(device.uuid, {}),
            **{name: getattr(device, name) for name in ("uuid", "index", "name", "gain_factor", "gain_source")},
        }
        for device in result.energy.devices
    ]


def _schema(metadata: dict[str, str]) -> pyarrow.Schema:
    import pyarrow

    kinds = {**dict.fromkeys(_WHOLE, pyarrow.int64()), **dict.fromkeys(_TEXT, pyarrow.string())}
    names = HEADER.strip().split(",")
    fields = [pyarrow.field(name, kinds.get(name, pyarrow.float64()), metadata={"unit": UNITS[name]}) for name in names]
    return pyarrow.schema(fields, metadata=metadata)


def _convert(source: BinaryIO, target: BinaryIO, schema: pyarrow.Schema) -> None:
    from pyarrow import csv, parquet

    # Without the types, a first block of empty cells would decide them.
    convert = csv.ConvertOptions(column_types=schema)
    read = csv.ReadOptions(block_size=_BLOCK_BYTES)
    with (
        csv.open_csv(source, read_options=read, convert_options=convert) as reader,
        parquet.ParquetWriter(
            target,
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name not in _ENCODINGS],
            column_encoding=_ENCODINGS,
        ) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
