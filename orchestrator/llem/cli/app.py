"""`llem`: finds the command and turns errors into words and exit codes.

Commands are imported when they are called: `llem --help` loads neither pydantic nor anything heavier.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import click

from llem.cli.lazy import LazyCommands
from llem.errors import LlemError
from llem.printable import on_own_lines
from llem.version import __version__

_COMMANDS = {
    "run": "Run a study, go on with one (--resume), or run a single experiment (--model).",
    "plan": "Show what a study expands to, without running it.",
    "doctor": "Tell what this machine has, and whether it is ready to run.",
    "images": "The images that runs are made from.",
    "config": "Show and change the user settings.",
    "schema": "Print the JSON Schema of the study file, for editors.",
    "energy": "Estimate the energy of spans of a recorded power timeline, with bounds.",
    "results": "Show the results of a study folder.",
}


@click.group(
    cls=LazyCommands,
    package="llem.cli",
    one_line=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="llem")
def _llem() -> None:
    """What does this LLM inference cost in energy, and which configuration costs least?"""


def main() -> None:
    """Entry point of the `llem` script."""
    # Whoever closed an output wants nothing there; everything that prints may rely on there being one.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 - for as long as we live
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no "±" gets a "?", not a traceback
    try:
        sys.exit(_llem.main(standalone_mode=False))
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LlemError as error:
        click.echo(f"Error: {on_own_lines(str(error))}", err=True)
        sys.exit(int(error.exit_code))
    except BrokenPipeError:
        # `llem plan … | head`: the reader has seen enough.
        forget_stdout()
        sys.exit(1)


def forget_stdout() -> None:
    """After a write to it has failed: what is still buffered would fail again while Python closes it, as exit 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
