"""The command line: parse, call the API, print. One file a command."""

from llem.cli.app import main

__all__ = ["main"]
