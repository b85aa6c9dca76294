"""`.env` beside a study and in the working folder: variables that a shell would have to export before every run."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import click

from llem.errors import UsageError
from llem.printable import on_one_line

FILE_NAME = ".env"
_TOKEN = "HF_TOKEN"
_OURS = "LLEM_"
# These make llem load a library, in place of the driver's: a file that came with somebody's study may not say which.
_FOR_TESTS = "LLEM_TEST_"


def apply_dotenv(study: Path | None) -> None:
    """`read_dotenv` for this process, and said where a person sees it."""
    for line in read_dotenv(study, os.environ):
        click.echo(line, err=True)


def read_dotenv(study: Path | None, environment: MutableMapping[str, str]) -> Iterator[str]:
    """Put what `.env` says into `environment`; a line for each file that said something, without any value.

    Read are HF_TOKEN and LLEM_*, from the folder of the study file and then from the working folder. What is set stays,
    also where it is set to nothing. Raises UsageError for a file that cannot be read.
    """
    folders = [Path.cwd()] if study is None else [study.absolute().parent, Path.cwd()]
    for folder in dict.fromkeys(folders):
        path = folder / FILE_NAME
        found = {name: value for name, value in _variables(path).items() if name not in environment}
        environment.update(found)
        if found:
            yield on_one_line(f"Taken from {path}: {', '.join(found)}.")


def _variables(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    from llem.study.yaml_text import read_capped

    try:
        text = read_capped(path).decode()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(on_one_line(f"{path} cannot be read ({error.strerror}).")) from error
    except UnicodeDecodeError as error:
        raise UsageError(on_one_line(f"{path} is not UTF-8 text (byte {error.start + 1}).")) from error
    # As it stands: another variable inside a value would be taken from the environment, a token's "$" as well.
    written = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name: value for name, value in written.items() if value is not None and _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name == _TOKEN or (name.startswith(_OURS) and not name.startswith(_FOR_TESTS))
