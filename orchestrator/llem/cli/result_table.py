"""The results of a study, printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.printable import on_further_lines, on_one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from llem.results.study_result import StudyResult

_PLAIN_WIDTH = 200


def console() -> Console:
    """Standard output: as wide as the terminal, and wide where there is none (a log must not lose columns)."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH, highlight=False, emoji=False, markup=False)


def print_study(result: StudyResult, folder: Path) -> None:
    """The tables of experiments and comparisons, what failed, why energy is empty, and where the files are."""
    from llem.results.summary import summarise

    summary = summarise(result)
    table = _table()
    for header in summary.headers:
        measured = "/" in header or header == "cycles"
        table.add_column(header, justify="right" if measured else "left", overflow="fold")
    for row in summary.rows:
        table.add_row(*row)
    click.echo()
    console().print(table)
    if any("±" in cell for row in summary.rows for cell in row):
        click.echo("± is half the 95 % confidence interval of the mean over the cycles (Student's t).")
    for note in summary.notes:
        click.echo(note)
    _print_comparisons(result)
    for failure in result.failures:
        click.echo(f"failed  {failure.run_id}  {on_further_lines(f'{failure.kind}: {failure.message}')}")
    runs = result.runs
    click.echo(
        f"{runs.completed} of {runs.total} runs completed, {runs.failed} failed, {runs.interrupted} interrupted. "
        f"Results: {folder}"
    )


def _print_comparisons(result: StudyResult) -> None:
    """Experiments side by side, where there is more than one; a cell's lines stay lines."""
    from llem.results.comparison_text import comparison_text

    text = comparison_text(result)
    for shown in text.tables:
        click.echo(f"\n{shown.title}")
        table = _table()
        for header in shown.headers:
            table.add_column(header, overflow="fold")
        for row in shown.rows:
            table.add_row(*row if row is shown.rows[-1] else _with_blank_line(row))
        console().print(table)
    for note in text.notes:
        click.echo(on_one_line(note))


def _table() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _with_blank_line(row: tuple[str, ...]) -> tuple[str, ...]:
    lines = max(cell.count("\n") for cell in row) + 1
    return (row[0] + "\n" * (lines - row[0].count("\n")), *row[1:])
