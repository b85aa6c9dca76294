"""`llem results`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="results")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="study_result.json, made anew from the runs.")
def command(folder: Path, as_json: bool) -> None:
    """Show the results of a study folder, finished or not."""
    from llem.cli.result_table import print_study
    from llem.results.open_study import open_study

    result = open_study(folder)
    if as_json:
        click.echo(result.model_dump_json(indent=2))
    else:
        print_study(result, folder)
