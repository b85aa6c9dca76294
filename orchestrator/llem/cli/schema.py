"""`llem schema`."""

from __future__ import annotations

import json

import click


@click.command(name="schema")
@click.argument("what", type=click.Choice(["study"]))
def command(what: str) -> None:
    """Print the JSON Schema of the study file: editors complete and check with it."""
    del what
    from llem.study import study_schema

    click.echo(json.dumps(study_schema(), indent=2, ensure_ascii=False))
