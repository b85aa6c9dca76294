"""`llem images`."""

from __future__ import annotations

import click

from llem.cli.lazy import LazyCommands

_COMMANDS: dict[str, str] = {
    "list": "The image that each backend would use, who says so, and whether the engine has it.",
    "pull": "Have images on the engine before they are needed.",
    "verify": "Whether images have what runs need.",
    "build": "Build images from a checkout of llem's source.",
}


@click.group(name="images", cls=LazyCommands, package="llem.cli.images", one_line=_COMMANDS)
def command() -> None:
    """The images that runs are made from."""
