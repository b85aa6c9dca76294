"""`llem plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llem.study import Plan, Study

_ROWS_SHOWN = 20


@click.command(name="plan")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The whole plan as JSON.")
def command(study: Path, as_json: bool) -> None:
    """Show what a study expands to: its experiments, what is skipped and why, and the order of its runs."""
    from llem.study import load_study, make_plan

    loaded = load_study(study)
    plan = make_plan(loaded)
    for message in (*plan.notes, *plan.warnings):
        click.echo(message, err=True)
    if as_json:
        click.echo(json.dumps(plan.to_json(), indent=2, ensure_ascii=False))
    else:
        print_plan(loaded, plan)


def print_plan(study: Study, plan: Plan) -> None:
    """The plan for people."""
    execution = study.execution
    pauses_s = sum(run.gap_seconds for run in plan.runs)
    click.echo(f"Study {study.name} ({plan.design_hash})")
    click.echo(
        f"  experiments   {plan.declared} declared, {len(plan.skipped)} skipped, {len(plan.merged)} merged, "
        f"{len(plan.experiments)} to run"
    )
    click.echo(f"  runs          {len(plan.runs)} = {len(plan.experiments)} × {execution.n_cycles} cycles")
    click.echo(f"  order         {execution.cycle_order}, pauses of {pauses_s:g} s in all")
    _print_experiments(plan)
    for skipped in plan.skipped[:_ROWS_SHOWN]:
        click.echo(f"  skipped       {skipped.rule}: {skipped.reason}")
    if len(plan.skipped) > _ROWS_SHOWN:
        click.echo(f"  … and {len(plan.skipped) - _ROWS_SHOWN} more skipped (--json has all)")


def _print_experiments(plan: Plan) -> None:
    from rich.table import Table

    from llem.cli.result_table import console

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("experiment")
    for path in plan.swept:
        table.add_column(path)
    for experiment_id in list(plan.experiments)[:_ROWS_SHOWN]:
        values = plan.swept_values(experiment_id)
        table.add_row(experiment_id, *(_cell(values.get(path)) for path in plan.swept))
    console().print(table)
    if len(plan.experiments) > _ROWS_SHOWN:
        click.echo(f"… and {len(plan.experiments) - _ROWS_SHOWN} more (--json has all)")


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
