"""Claim 8: `llem energy` on anybody's recording: the JSON, the table, and what is wrong with a file, with its line."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest
from real_boards import FOLDER, TRACES

from llem.cli.app import main

HEADER = "unix_s,device,counter_mj,power_w,power_average_w,power_instant_w\n"
A100 = TRACES[0]


class Llem:
    """`llem energy` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self._monkeypatch.setattr(sys, "argv", ["llem", "energy", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self._capsys.readouterr()
        return int(ended.value.code or 0), out, err

    def entries(self, *arguments: str | Path) -> list[dict[str, Any]]:
        """What `--json` prints."""
        code, out, err = self(*arguments, "--json")
        assert code == 0, err
        found: list[dict[str, Any]] = json.loads(out)
        return found


@pytest.fixture
def llem(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Llem:
    return Llem(monkeypatch, capsys)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The A100's recording as a plain CSV file."""
    path = tmp_path / "trace.csv"
    path.write_bytes(gzip.decompress((FOLDER / "timelines" / "a100_step.csv.gz").read_bytes()))
    return path


@pytest.fixture
def spans(tmp_path: Path) -> Path:
    """The A100's spans, with all the columns of the data's own file."""
    rows = (FOLDER / "spans.csv").read_text().splitlines(keepends=True)
    path = tmp_path / "spans.csv"
    path.write_text(rows[0] + "".join(row for row in rows if row.startswith(A100.name)))
    return path


def steady(watts: float, *, device: str = "0", clock_s: float = 100.0, seconds: int = 8) -> list[str]:
    """Rows of one device with instant power only, ten a second."""
    return [f"{clock_s + n / 10:.3f},{device},,,,{watts}\n" for n in range(seconds * 10)]


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines))
    return path


def test_claim_7_8_a_recording_of_others_gives_a_flat_list_with_an_entry_for_each_span(
    llem: Llem, trace: Path, spans: Path
) -> None:
    entries = llem.entries(trace, "--spans", spans, "--gain", "0.9609", "--board", A100.board)
    assert len(entries) == len(A100.spans())
    for entry, span in zip(entries, A100.spans(), strict=True):
        assert list(entry) == [
            *("start", "end", "device", "energy_j", "lower_j", "upper_j", "method", "systematic_percent"),
        ]
        assert (entry["start"], entry["end"], entry["device"]) == (span.start_s, span.end_s, "0")
        assert (entry["method"], entry["systematic_percent"]) == ("power", 1.0)
        assert entry["lower_j"] <= span.truth_j + span.meter_error_j
        assert entry["upper_j"] >= span.truth_j - span.meter_error_j
        assert entry["energy_j"] == pytest.approx(span.truth_j, rel=0.06)


def test_claim_7_8_results_are_divided_by_the_gain_and_its_uncertainty_is_the_systematic_percent(
    llem: Llem, trace: Path, spans: Path
) -> None:
    plain = llem.entries(trace, "--spans", spans)
    known = llem.entries(trace, "--spans", spans, "--gain", "1.25", "--gain-uncertainty", "0.4")
    assert {entry["systematic_percent"] for entry in plain} == {5.0}
    assert {entry["systematic_percent"] for entry in known} == {0.4}
    for before, after in zip(plain, known, strict=True):
        for name in ("energy_j", "lower_j", "upper_j"):
            assert after[name] == pytest.approx(before[name] / 1.25)


def test_claim_7_8_csv_gzip_and_parquet_say_the_same(llem: Llem, trace: Path, spans: Path, tmp_path: Path) -> None:
    packed, parquet = tmp_path / "trace.csv.gz", tmp_path / "trace.parquet"
    packed.write_bytes(gzip.compress(trace.read_bytes()))
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(trace), parquet)
    assert llem.entries(packed, "--spans", spans) == llem.entries(trace, "--spans", spans)
    assert llem.entries(parquet, "--spans", spans) == llem.entries(trace, "--spans", spans)


def test_claim_7_8_several_devices_each_have_an_entry_for_every_span_in_order(llem: Llem, tmp_path: Path) -> None:
    rows = [row for pair in zip(steady(100, device="GPU-a"), steady(300, device="GPU-b"), strict=True) for row in pair]
    timeline = write(tmp_path / "t.csv", HEADER, *rows)
    wanted = write(tmp_path / "s.csv", "start_unix_s,end_unix_s\n101,103\n102,107\n")
    entries = llem.entries(timeline, "--spans", wanted)
    assert [(entry["start"], entry["device"]) for entry in entries] == [
        *((101.0, "GPU-a"), (101.0, "GPU-b"), (102.0, "GPU-a"), (102.0, "GPU-b")),
    ]
    assert [entry["energy_j"] for entry in entries] == [pytest.approx(joules) for joules in (200, 600, 500, 1500)]


def test_claim_7_8_rows_may_hold_one_reading_each_and_come_in_any_order(llem: Llem, tmp_path: Path) -> None:
    power = steady(300)
    counter = [f"{100 + n / 10 + 0.03:.3f},0,{n * 30_000},,,\n" for n in range(80)]
    wanted = write(tmp_path / "s.csv", "start_unix_s,end_unix_s\n102,105\n")
    one_by_one = [row for pair in zip(power, counter, strict=True) for row in pair]
    [entry] = llem.entries(write(tmp_path / "a.csv", HEADER, *one_by_one), "--spans", wanted)
    assert entry["method"] == "counter"
    assert entry["lower_j"] <= 900 <= entry["upper_j"]
    [other] = llem.entries(write(tmp_path / "b.csv", HEADER, *counter, *power), "--spans", wanted)
    assert other == entry


def test_claim_7_8_our_own_timeline_is_read_by_its_own_clock(llem: Llem, tmp_path: Path) -> None:
    rows = [f"{5 + n * 0.047:.6f},GPU-a,{int(n * 0.047 * 300_000)},,,300.0,41,0.000200\n" for n in range(200)]
    header = "monotonic_s,device,counter_mj,power_w,power_average_w,power_instant_w,temperature_c,read_s\n"
    timeline = write(tmp_path / "power.csv", header, *rows, "14.4")  # and a line that was being written
    wanted = write(
        tmp_path / "s.csv", "start_unix_s,end_unix_s,start_monotonic_s,end_monotonic_s,note\n1e9,2e9,7,11,x\n"
    )
    [entry] = llem.entries(timeline, "--spans", wanted, "--board", "NVIDIA H100 80GB HBM3")
    assert (entry["start"], entry["end"]) == (7.0, 11.0)
    assert entry["lower_j"] <= 1200 <= entry["upper_j"]


def test_claim_7_8_a_last_line_without_its_end_counts_where_it_is_whole(llem: Llem, tmp_path: Path) -> None:
    rows = ["1000.0,0,5000\n", "1000.001,0,5000\n", "1001.0,0,230000\n", "1007.0,0,830000"]
    timeline = write(tmp_path / "t.csv", "monotonic_s,device,counter_mj\n", *rows)
    wanted = write(tmp_path / "s.csv", "start_monotonic_s,end_monotonic_s\n1000.0005,1000.9995\n")
    [entry] = llem.entries(timeline, "--spans", wanted, "--board", "H100")
    assert entry["lower_j"] <= 260 <= entry["upper_j"]


def test_claim_7_8_a_span_that_cannot_be_estimated_is_an_entry_with_the_reason(llem: Llem, tmp_path: Path) -> None:
    timeline = write(tmp_path / "t.csv", HEADER, *steady(100))
    wanted = write(tmp_path / "s.csv", "start_unix_s,end_unix_s\n101,103\n90,95\n102,102\n105,200\n")
    entries = llem.entries(timeline, "--spans", wanted)
    assert ["refused" in entry for entry in entries] == [False, True, True, True]
    assert entries[1] == {
        **{"start": 90.0, "end": 95.0, "device": "0"},
        "refused": "the span begins before the first power reading",
    }


def test_claim_7_8_without_json_there_is_a_table_for_people(llem: Llem, tmp_path: Path) -> None:
    timeline = write(tmp_path / "t.csv", HEADER, *steady(100))
    wanted = write(tmp_path / "s.csv", "start_unix_s,end_unix_s\n101,103\n90,95\n")
    code, out, _ = llem(timeline, "--spans", wanted)
    assert code == 0
    assert "200.00" in out
    assert "refused: the span begins before" in out
    assert "gain may be wrong by 5 %" in out


GOOD_SPANS = b"start_unix_s,end_unix_s\n101,103\n"
BAD_TIMELINES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "t.csv:1: the file is empty"),
    "header-only": (HEADER.encode(), "t.csv:1: there are no readings"),
    "no-device": (b"unix_s,power_w\n1,5\n", "t.csv:1: there is no column device"),
    "no-clock": (b"device,power_w\n0,5\n", "t.csv:1: there is no column monotonic_s or unix_s"),
    "no-reading": (b"unix_s,device,watt\n1,0,5\n", "t.csv:1: there is none of the columns counter_mj"),
    "text": (b"unix_s,device,power_w\n1,0,5\n2,0,[N/A]\n", "t.csv:3: power_w is '[N/A]'"),
    "no-time": (b"unix_s,device,power_w\n,0,5\n", "t.csv:2: unix_s is ''"),
    "torn-within": (b"unix_s,device,power_w\n1,0\n2,0,5\n", "t.csv:2: 2 cells where the header has 3"),
    "binary": (bytes(range(128, 256)) * 20, "t.csv: this is no CSV file"),
    "zeros": (bytes(5000), "t.csv"),
    "quotes": (b'unix_s,device,power_w\n1,0,"5\n', "t.csv: this is no CSV file"),
}
BAD_SPANS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "s.csv:1: the file is empty"),
    "no-end-column": (b"start_unix_s\n1\n", "s.csv:1: there are no columns start_unix_s,end_unix_s"),
    "other-clock": (b"start_monotonic_s,end_monotonic_s\n1,2\n", "s.csv:1: the spans go by monotonic_s"),
    "mixed-clocks": (b"start_unix_s,end_monotonic_s\n1,2\n", "s.csv:1: there are no columns"),
    "without-end": (b"start_unix_s,end_unix_s\n101,103\n104,\n", "s.csv:3: end_unix_s is ''"),
    "short": (b"start_unix_s,end_unix_s\n101\n", "s.csv:2: 1 cells where the header has 2"),
    "nan": (b"start_unix_s,end_unix_s\nnan,103\n", "s.csv:2: start_unix_s is 'nan'"),
    "text": (b"start_unix_s,end_unix_s\n101,later\n", "s.csv:2: end_unix_s is 'later'"),
    "negative": (b"start_unix_s,end_unix_s\n103,101\n", "s.csv:2: the span ends before its start"),
    "binary": (bytes(range(128, 256)), "s.csv: this is no CSV file"),
}


@pytest.mark.parametrize(
    ("timeline", "spans", "complaint"),
    [
        *(
            pytest.param(text, GOOD_SPANS, words, id=f"timeline-{name}")
            for name, (text, words) in BAD_TIMELINES.items()
        ),
        *(pytest.param(None, text, words, id=f"spans-{name}") for name, (text, words) in BAD_SPANS.items()),
    ],
)
def test_claim_7_8_bad_input_is_named_with_file_and_line_and_ends_with_2(
    llem: Llem, tmp_path: Path, timeline: bytes | None, spans: bytes, complaint: str
) -> None:
    (tmp_path / "t.csv").write_bytes((HEADER + "".join(steady(100))).encode() if timeline is None else timeline)
    (tmp_path / "s.csv").write_bytes(spans)
    code, out, err = llem(tmp_path / "t.csv", "--spans", tmp_path / "s.csv", "--json")
    assert (code, out) == (2, "")
    assert complaint in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["t.csv.gz", "t.parquet", "missing.csv", "missing.csv.gz", "missing.parquet", "."])
def test_claim_7_8_a_file_that_is_not_what_its_name_says_or_is_not_there_ends_with_2(
    llem: Llem, tmp_path: Path, name: str
) -> None:
    if name.startswith("t."):
        (tmp_path / name).write_bytes(b"unix_s,device,power_w\n1,0,5\n")
    code, _, err = llem(tmp_path / name, "--spans", write(tmp_path / "s.csv", GOOD_SPANS.decode()))
    assert code == 2
    assert err.startswith("Error: ")


def test_claim_7_8_a_gzip_file_that_was_cut_off_ends_with_2(
    llem: Llem, trace: Path, spans: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(trace.read_bytes())[:-2000])
    code, _, err = llem(cut, "--spans", spans)
    assert code == 2
    assert "cut.csv.gz" in err


@pytest.mark.parametrize(
    "options", [("--gain", "0"), ("--gain", "nan"), ("--gain", "-1"), ("--gain-uncertainty", "1"), ("--gain", "much")]
)
def test_claim_7_8_a_gain_that_cannot_be_is_wrong_usage(
    llem: Llem, trace: Path, spans: Path, options: tuple[str, str]
) -> None:
    code, _, err = llem(trace, "--spans", spans, *options)
    assert code == 2
    assert "--gain" in err
