"""`llem energy`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from llem.printable import json_for_terminal, on_one_line

_GAIN_UNCERTAINTY_PERCENT = 1.0


@click.command(name="energy")
@click.argument("timeline", type=click.Path(path_type=Path))
@click.option(
    "--spans", required=True, type=click.Path(path_type=Path), help="CSV: start_unix_s,end_unix_s (or …monotonic_s)."
)
@click.option(
    "--gain", type=float, help="The board's readings are this many times the truth: results are divided by it."
)
@click.option("--gain-uncertainty", type=float, help="Percent by which the gain may be wrong.  [default: 1]")
@click.option("--board", default="", help="NVML's name of the board, e.g. 'NVIDIA H100 80GB HBM3'.")
@click.option("--json", "as_json", is_flag=True, help="A list with one entry a span and device.")
def command(
    timeline: Path, spans: Path, gain: float | None, gain_uncertainty: float | None, board: str, as_json: bool
) -> None:
    """Estimate the energy of spans of any recorded TIMELINE (.csv, .csv.gz, .parquet), with bounds.

    TIMELINE has the columns unix_s or monotonic_s, device, and any of counter_mj, power_w, power_average_w,
    power_instant_w; an empty cell is no reading.
    """
    from llem.results.recorded_timeline import read_timeline
    from llem.results.span_energy import clocks_of, read_spans, span_energies
    from llem_runner.power.gain import UNCALIBRATED, Gain

    if gain is None and gain_uncertainty is not None:
        raise click.UsageError("--gain-uncertainty says how sure --gain is: give both.")
    known = UNCALIBRATED
    if gain is not None:
        percent = _GAIN_UNCERTAINTY_PERCENT if gain_uncertainty is None else gain_uncertainty
        known = Gain(_positive(gain, "--gain"), _not_negative(percent, "--gain-uncertainty"))
    wanted = read_spans(spans, clocks_of(timeline))
    entries = list(span_energies(read_timeline(timeline, wanted.clock), wanted, board, known))
    if as_json:
        click.echo(json_for_terminal(json.dumps(entries, indent=2, ensure_ascii=False)))
    else:
        _print(entries)


def _positive(value: float, option: str) -> float:
    if not 0 < value < float("inf"):
        raise click.UsageError(f"{option} is {value}: a number above 0 is needed.")
    return value


def _not_negative(value: float, option: str) -> float:
    if not 0 <= value < float("inf"):
        raise click.UsageError(f"{option} is {value}: a number of at least 0 is needed.")
    return value


def _print(entries: Sequence[dict[str, Any]]) -> None:
    from rich.table import Table

    from llem.cli.result_table import console

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in ("start", "end", "device"):
        table.add_column(header)
    for header in ("J", "at least", "at most", "mean W"):
        table.add_column(header, justify="right")
    table.add_column("from", overflow="fold")
    for entry in entries:
        span = (f"{entry['start']:.3f}", f"{entry['end']:.3f}", on_one_line(entry["device"]))
        if "refused" in entry:
            table.add_row(*span, "–", "–", "–", "–", f"refused: {on_one_line(entry['refused'])}")
        else:
            numbers = (entry[name] for name in ("energy_j", "lower_j", "upper_j"))
            mean_w = entry["energy_j"] / (entry["end"] - entry["start"])
            table.add_row(*span, *(f"{number:.2f}" for number in numbers), f"{mean_w:.1f}", entry["method"])
    console().print(table)
    systematic = next((entry["systematic_percent"] for entry in entries if "refused" not in entry), None)
    if systematic is not None:
        click.echo(f"Beside the bounds, the board's own gain may be wrong by {systematic:g} %.")
