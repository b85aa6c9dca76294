"""`llem images pull`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.cli.progress import observer_for
from llem.printable import on_one_line

if TYPE_CHECKING:
    from llem.launch.docker import PullPolicy


@click.command(name="pull")
@click.argument("what", nargs=-1, metavar="[BACKEND|IMAGE]…")
@click.option("--study", type=click.Path(path_type=Path), help="Also what the runs of this study need.")
@click.option(
    "--policy",
    type=click.Choice(["missing", "always", "never"]),
    help="When an image is pulled; without it as study and settings say.  [missing]",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(what: tuple[str, ...], study: Path | None, policy: PullPolicy | None, quiet: bool) -> None:
    """Have images on the engine before they are needed; without any name those of all backends.

    \b
    llem images pull vllm
    llem images pull --study study.yaml
    llem images pull registry.example.org/vllm:1 --policy always
    """
    from llem.cli.dotenv_file import apply_dotenv
    from llem.execution.images import pull
    from llem.study.keys import BACKENDS

    apply_dotenv(study)
    names = what if what or study is not None else tuple(BACKENDS)
    for image in pull(names, study, policy, observer_for(quiet=quiet, verbose=False)):
        click.echo(on_one_line(f"{image.name}  {image.digest}  {image.size_bytes / 1e9:.1f} GB"))
