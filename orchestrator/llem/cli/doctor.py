"""`llem doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.errors import CliExit
from llem.printable import json_for_terminal, on_one_line, on_own_lines

if TYPE_CHECKING:
    from llem.execution.readiness.doctor import Diagnosis

_GIB = 2**30


@click.command(name="doctor")
@click.option("--study", type=click.Path(path_type=Path), help="Check what the runs of this study file need.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@click.pass_context
def command(ctx: click.Context, study: Path | None, as_json: bool) -> None:
    """Tell what this machine has, and whether it is ready to run. Starts no run and fetches nothing.

    \b
    Exit codes: 0 the study could begin (without one: a backend can run here, if only on the CPU) · 2 wrong usage or
    study file · 3 not ready
    """
    from llem.cli.dotenv_file import apply_dotenv
    from llem.execution.readiness.doctor import diagnose
    from llem.study import load_study

    apply_dotenv(study)
    diagnosis = diagnose(load_study(study) if study else None)
    if as_json:
        click.echo(json_for_terminal(json.dumps(diagnosis.to_json(), indent=2, ensure_ascii=False)))
    else:
        _print(diagnosis)
    ctx.exit(CliExit.OK if diagnosis.ready else CliExit.NOT_READY)


def _print(diagnosis: Diagnosis) -> None:
    for name, value in diagnosis.facts.items():
        click.echo(on_one_line(f"{name.replace('_', ' '):<18} {value or '–'}"))
    for gpu in diagnosis.gpus:
        total = gpu["memory_total_bytes"]
        words = [gpu["name"], gpu["uuid"], *([f"{total / _GIB:.1f} GiB"] if total else [])]
        simulated = ["simulated: its readings are worth nothing"] if gpu["simulated"] else []
        click.echo(on_one_line(f"{'GPU':<18} {', '.join([*words, *simulated])}"))
    click.echo()
    for finding in diagnosis.findings:
        click.echo(on_own_lines(str(finding)))
    click.echo()
    for patient in diagnosis.patients:
        how = f"ready. {patient.how}" if patient.ready else f"NOT ready ({patient.how})."
        click.echo(on_one_line(f"{patient.name}: {how}"))
