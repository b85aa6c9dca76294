"""Groups whose commands are imported when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyCommands(click.Group):
    """A group of `package`: command NAME is `command` of the module of that name.

    `one_line` has a line of help for each, kept here so that listing them imports nothing.
    """

    def __init__(self, *args: Any, package: str, one_line: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self._one_line = one_line

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of the list."""
        del ctx
        return list(self._one_line)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported; None where there is none."""
        del ctx
        if cmd_name not in self._one_line:
            return None
        command: click.Command = importlib.import_module(f"{self._package}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of a group's help."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(self._one_line.items()))
