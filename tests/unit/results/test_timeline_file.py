"""`power.parquet`: the raw readings, what they are readings of, and that others can read them."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas
import pyarrow.parquet
import pytest
from results_factory import START_S, result_record

from llem.results.recorded_timeline import read_timeline
from llem.results.timeline import UNITS, save_timeline
from llem_runner.contract import ExperimentResult
from llem_runner.power.readings import COLUMNS, HEADER, NOT_READ, Reading, Slow, as_line
from llem_runner.power.timeline import Timeline

SECONDS = 60
OFFSET_S = START_S - 1000.0
UUIDS = ("GPU-a", "GPU-b")


def readings() -> list[Reading]:
    rng, found, time_s, counter_mj = random.Random(7), [], 990.0, 16_289_038_079_240
    for tick in range(int(SECONDS / 0.047)):
        for number, uuid in enumerate(UUIDS):
            counter_mj += rng.randrange(0, 30_000)
            slow = Slow(temperature_c=41, throttle_reasons=4, compute_processes=1) if tick % 11 == 0 else NOT_READ
            watts = None if number else round(rng.uniform(70, 700), 3)
            found.append(Reading(uuid, time_s, time_s + 2e-4, counter_mj, power_instant_w=watts, slow=slow))
        time_s += 0.047
    return found


def finished(tmp_path: Path, changes: dict[str, Any] | None = None) -> ExperimentResult:
    (tmp_path / "out").mkdir()
    text = HEADER + "".join(as_line(reading, OFFSET_S) for reading in readings())
    (tmp_path / "out" / "power.csv").write_text(text)
    known = {"environment.gpus": [{"uuid": "GPU-a", "family": "hopper", "counter_scope": "gpu"}, 3, {"uuid": [1]}]}
    return ExperimentResult.model_validate(result_record({**known, **(changes or {})}))


@pytest.fixture
def result(tmp_path: Path) -> ExperimentResult:
    done = finished(tmp_path)
    assert save_timeline(tmp_path, done) is None
    return done


@pytest.mark.usefixtures("result")
def test_claim_7_13_pandas_reads_every_reading_as_it_was_recorded(tmp_path: Path) -> None:
    frame = pandas.read_parquet(tmp_path / "power.parquet")
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(readings())
    for place in (0, 500, len(frame) - 1):
        reading, row = readings()[place], frame.iloc[place]
        assert row["device"] == reading.uuid
        assert row["counter_mj"] == reading.counter_mj
        assert row["monotonic_s"] == pytest.approx(reading.before_s + 1e-4, abs=1e-6)
        assert row["unix_s"] == pytest.approx(reading.before_s + 1e-4 + OFFSET_S, abs=1e-5)
    # What was not read is absent and not zero.
    assert frame["power_w"].isna().all()
    assert frame.loc[frame["device"] == "GPU-b", "power_instant_w"].isna().all()
    assert frame["temperature_c"].notna().sum() == pytest.approx(len(frame) / 11, abs=2)


@pytest.mark.usefixtures("result")
def test_claim_7_13_every_column_is_named_with_its_unit() -> None:
    assert list(UNITS) == list(COLUMNS)
    ends = {"_s": "s", "_w": "W", "_mj": "mJ", "_c": "°C", "_mhz": "MHz", "_percent": "%", "_bytes": "B"}
    for column, unit in UNITS.items():
        named = next((expected for end, expected in ends.items() if column.endswith(end)), None)
        assert unit == named or column in ("device", "throttle_reasons", "compute_processes")


def test_claim_7_13_phases_boards_and_run_are_in_the_files_own_metadata(
    tmp_path: Path, result: ExperimentResult
) -> None:
    schema = pyarrow.parquet.read_schema(tmp_path / "power.parquet")
    assert {name: schema.field(name).metadata[b"unit"].decode() for name in schema.names} == UNITS
    told = {key.decode(): json.loads(text) for key, text in schema.metadata.items() if key.startswith(b"llem.")}
    assert set(told) == {"llem.run", "llem.phases", "llem.boards"}
    assert told["llem.run"]["run_id"] == result.run_id
    assert told["llem.run"]["model"] == "builtin:tiny-llama"
    assert told["llem.run"]["window"] == {"start_unix_s": START_S, "end_unix_s": START_S + 40}
    assert told["llem.phases"] == [
        {"name": phase.name, "start_unix_s": phase.start_unix_s, "end_unix_s": phase.end_unix_s}
        for phase in result.phases
    ]
    assert [board["uuid"] for board in told["llem.boards"]] == [device.uuid for device in result.energy.devices]
    # A phase can be cut out of the readings by what is in the file alone.
    frame = pandas.read_parquet(tmp_path / "power.parquet")
    [measure] = [phase for phase in told["llem.phases"] if phase["name"] == "measure"]
    inside = frame[frame["unix_s"].between(measure["start_unix_s"], measure["end_unix_s"])]
    assert inside["unix_s"].max() - inside["unix_s"].min() == pytest.approx(40.0, abs=0.1)


def test_claim_7_13_a_board_is_described_as_the_environment_knows_it_with_its_gain(tmp_path: Path) -> None:
    devices = [{"uuid": "GPU-a", "index": 0, "name": "H100", "total_j": 1.0, "gain_factor": 0.96, "gain_source": "PMD"}]
    assert save_timeline(tmp_path, finished(tmp_path, {"energy.devices": devices})) is None
    metadata = pyarrow.parquet.read_schema(tmp_path / "power.parquet").metadata
    [board] = json.loads(metadata[b"llem.boards"])
    assert (board["family"], board["counter_scope"], board["gain_factor"]) == ("hopper", "gpu", 0.96)


@pytest.mark.parametrize("gpus", [None, 3, "text", [[]], [{"uuid": None}], {"uuid": "GPU-a"}])
def test_an_environment_that_makes_no_sense_costs_no_timeline(tmp_path: Path, gpus: Any) -> None:
    assert save_timeline(tmp_path, finished(tmp_path, {"environment.gpus": gpus})) is None


DUCKDB = """
import duckdb, json, sys
rows = duckdb.sql(f"SELECT device, count(*), max(counter_mj) - min(counter_mj), count(power_w), count(power_instant_w) "
                  f"FROM '{sys.argv[1]}' GROUP BY device ORDER BY device").fetchall()
keys = duckdb.sql(f"SELECT decode(key), decode(value) FROM parquet_kv_metadata('{sys.argv[1]}')").fetchall()
print(json.dumps([rows, dict(keys)]))
"""


@pytest.mark.skipif(find_spec("duckdb") is None, reason="duckdb is not installed")
@pytest.mark.usefixtures("result")
def test_claim_7_13_duckdb_reads_the_same_readings_and_metadata(tmp_path: Path) -> None:
    # In a process of its own: two libraries that carry Parquet need not meet in this one.
    command = [sys.executable, "-c", DUCKDB, str(tmp_path / "power.parquet")]
    rows, metadata = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    frame = pandas.read_parquet(tmp_path / "power.parquet")
    for device, count, rise_mj, power, instant in rows:
        own = frame[frame["device"] == device]
        assert (count, power, instant) == (len(own), 0, own["power_instant_w"].notna().sum())
        assert rise_mj == own["counter_mj"].max() - own["counter_mj"].min()
    assert [row[0] for row in rows] == list(UUIDS)
    assert json.loads(metadata["llem.phases"])[0]["name"] == "load"


@pytest.mark.usefixtures("result")
def test_claim_7_13_the_file_holds_what_the_recorder_wrote_and_is_a_fifth_of_it(tmp_path: Path) -> None:
    source, kept = tmp_path / "out" / "power.csv", tmp_path / "power.parquet"
    assert kept.stat().st_size < source.stat().st_size / 5
    recorded = Timeline.read(source)
    for clock in ("monotonic_s", "unix_s"):
        read = read_timeline(kept, clock)
        assert read.clock == clock
        for uuid in UUIDS:
            assert read.devices[uuid].counter_mj == recorded.devices[uuid].counter_mj
