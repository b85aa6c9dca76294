"""`llem images list`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from llem.printable import json_for_terminal, on_one_line

if TYPE_CHECKING:
    from llem.execution.images import ListedImage


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="As a list, with sizes in bytes.")
def command(as_json: bool) -> None:
    """The image that each backend would use, who says so, and whether the engine has it."""
    from llem.cli.dotenv_file import apply_dotenv
    from llem.execution.images import list_images

    apply_dotenv(None)
    listed, unknown = list_images()
    if as_json:
        rows = [_row(each, unknown) for each in listed]
        click.echo(json_for_terminal(json.dumps(rows, indent=2, ensure_ascii=False)))
        return
    for each in listed:
        click.echo(on_one_line(f"{each.backend:<8} {each.chosen.name}  [{each.chosen.source}]"))
        click.echo(on_one_line(f"         {_there(each, unknown)}"))
    if unknown:
        click.echo(on_one_line(unknown), err=True)


def _row(each: ListedImage, unknown: str) -> dict[str, Any]:
    there = each.there
    return {
        "backend": each.backend,
        "image": each.chosen.name,
        "source": each.chosen.source,
        "pull": each.pull,
        "variant": each.variant,
        "there": None if unknown else there is not None,
        "digest": there.digest if there else None,
        "size_bytes": there.size_bytes if there else None,
        "created": there.created if there else None,
        "architecture": there.architecture if there else None,
        "contract": there.contract if there else None,
    }


def _there(each: ListedImage, unknown: str) -> str:
    if unknown:
        return "not known whether it is there: no engine answers"
    if each.there is None:
        return f"not there: llem images pull {each.backend}" if each.pull != "never" else "not there (pull: never)"
    facts = [
        f"{each.there.size_bytes / 1e9:.1f} GB",
        each.variant,
        each.there.architecture,
        f"built {each.there.created[:10]}",
        f"contract {each.there.contract}" if each.there.contract else "no label of a contract",
        each.there.digest,
    ]
    return ", ".join(fact for fact in facts if fact)
