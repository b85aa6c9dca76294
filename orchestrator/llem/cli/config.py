"""`llem config`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.errors import NotReadyError, UsageError
from llem.printable import json_for_terminal, on_one_line

if TYPE_CHECKING:
    from llem.study.effective_settings import Setting


@click.group(name="config")
def command() -> None:
    """Show and change the user settings: what holds where a study says nothing.

    \b
    llem config set runners.pytorch docker
    llem config set output.folder ~/llem-results
    llem config set calibration.GPU-8f2c.factor 0.96 calibration.GPU-8f2c.uncertainty_percent 0.5 \\
                    calibration.GPU-8f2c.source "power meter, 2026-11"
    """


@command.command(name="path")
def path_command() -> None:
    """Where the user settings are, or would be."""
    click.echo(on_one_line(str(_path())))


@command.command(name="show")
@click.option("--json", "as_json", is_flag=True, help="As a list of key, value, source and variable.")
def show_command(as_json: bool) -> None:
    """Every setting with its value and who says so, as a study that says nothing would find it here."""
    from llem.cli.dotenv_file import apply_dotenv
    from llem.study import load_settings
    from llem.study.effective_settings import effective_settings

    apply_dotenv(None)
    settings = list(effective_settings(load_settings(_path()), os.environ))
    if as_json:
        rows = [{"key": s.key, "value": s.value, "source": s.source, "variable": s.variable} for s in settings]
        click.echo(json_for_terminal(json.dumps(rows, indent=2, ensure_ascii=False)))
        return
    width = max(len(setting.key) for setting in settings)
    for setting in settings:
        click.echo(on_one_line(f"{setting.key:<{width}}  {_shown(setting)}"))


@command.command(name="set")
@click.argument("key")
@click.argument("value")
@click.argument("more", nargs=-1, metavar="[KEY VALUE]…")
def set_command(key: str, value: str, more: tuple[str, ...]) -> None:
    """Set KEY to VALUE (null: as if it were not written) in the settings file; its comments and the rest stay."""
    if len(more) % 2:
        raise UsageError(f"{on_one_line(more[-1])} has no value: keys and values come in pairs.")
    from llem.study.settings import read_settings
    from llem.study.settings_edit import with_settings

    path = _path()
    changes = {key: value, **dict(zip(more[::2], more[1::2], strict=True))}
    _write(path, with_settings(read_settings(path), str(path), changes))
    click.echo(on_one_line(f"{path}: {', '.join(changes)} set."))


def _shown(setting: Setting) -> str:
    value = "–" if setting.value is None else json.dumps(setting.value, ensure_ascii=False).strip('"')
    source = f"{setting.source} ({setting.variable})" if setting.variable else setting.source
    return f"{value}  [{source}]"


def _path() -> Path:
    from llem.study import settings_path

    return settings_path(os.environ)


def _write(path: Path, text: str) -> None:
    from llem.atomic import write_atomically

    # A link leads to where somebody keeps the file: it stays a link.
    real = path.resolve()
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(real, lambda file: file.write(text.encode()))
    except OSError as error:
        raise NotReadyError(on_one_line(f"{real} cannot be written ({error.strerror}).")) from error
