"""`llem plan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.printable import json_for_terminal, on_one_line

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
        click.echo(on_one_line(message), err=True)
    if as_json:
        click.echo(json_for_terminal(json.dumps(plan.to_json(), indent=2, ensure_ascii=False)))
    else:
        print_plan(loaded, plan)


def print_plan(study: Study, plan: Plan) -> None:
    """The plan for people."""
    execution = study.execution
    click.echo(f"Study {on_one_line(study.name)} ({plan.design_hash})")
    click.echo(
        f"  experiments   {plan.declared} declared, {len(plan.skipped)} skipped, {len(plan.merged)} merged, "
        f"{len(plan.experiments)} to run"
    )
    click.echo(f"  runs          {len(plan.runs)} = {len(plan.experiments)} × {execution.n_cycles} cycles")
    click.echo(f"  order         {execution.cycle_order}, pauses of {plan.pause_seconds:.10g} s in all")
    _print_experiments(plan)
    _print_skipped(plan)


def _print_skipped(plan: Plan) -> None:
    groups = plan.skipped_groups()
    for group in groups[:_ROWS_SHOWN]:
        values = ", ".join(f"{path}: {_cell(value)}" for path, value in group.first.items())
        which = f" ({'the first: ' if group.count > 1 else ''}{values})" if values else ""
        click.echo(on_one_line(f"  skipped       {group.count} × {group.rule}: {group.reason}{which}"))
    if len(groups) > _ROWS_SHOWN:
        rest = sum(group.count for group in groups[_ROWS_SHOWN:])
        click.echo(f"  … and {rest} more skipped for {len(groups) - _ROWS_SHOWN} other reasons (--json has all)")


def _print_experiments(plan: Plan) -> None:
    from rich.table import Table

    from llem.cli.result_table import console

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("experiment")
    for path in plan.swept:
        table.add_column(on_one_line(path))
    for experiment_id in list(plan.experiments)[:_ROWS_SHOWN]:
        values = plan.swept_values(experiment_id)
        table.add_row(experiment_id, *(_cell(values.get(path)) for path in plan.swept))
    console().print(table)
    if len(plan.experiments) > _ROWS_SHOWN:
        click.echo(f"… and {len(plan.experiments) - _ROWS_SHOWN} more (--json has all)")


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return on_one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
