"""`llem images build`."""

from __future__ import annotations

from collections.abc import Callable

import click

from llem.errors import UsageError
from llem.printable import on_one_line


@click.command(name="build")
@click.argument("backends", nargs=-1, metavar="[BACKEND]…")
@click.option(
    "--variant", type=click.Choice(["cpu", "cuda"]), help="Without it: cuda where there is an NVIDIA driver, else cpu."
)
@click.option("--push", "registry", default="", metavar="REGISTRY", help="Send them there (ghcr.io/me).")
@click.option("--base", default="", metavar="IMAGE", help="Build on this image with Python, not on Python's own.")
@click.option("--network", default="", metavar="MODE", help="The network of the build's steps, as of docker build.")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="As of docker build.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(
    backends: tuple[str, ...],
    variant: str | None,
    registry: str,
    base: str,
    network: str,
    arguments: tuple[str, ...],
    quiet: bool,
) -> None:
    """Build the images of backends from a checkout of llem's source; without any name those of all.

    An image is called llem-BACKEND:VERSION-cpu or, with the major version of its CUDA, …-cu13; and llem-BACKEND:VERSION
    as well: that is what runs use where nobody names an image.

    \b
    llem images build pytorch --variant cpu
    llem images build --push registry.example.org/me
    """
    from llem.execution.image_building import BuildOrder, build_images
    from llem.launch.gpus import driver_installed
    from llem.study.keys import BACKENDS

    if unknown := [each for each in backends if each not in BACKENDS]:
        raise UsageError(on_one_line(f"There is no backend {unknown[0]}: {', '.join(BACKENDS)}."))
    order = BuildOrder(
        backends=backends or tuple(BACKENDS),
        variant="cuda" if variant == "cuda" or (variant is None and driver_installed()) else "cpu",
        base=base,
        network=network,
        registry=registry,
        arguments=_named(arguments),
    )
    for built in build_images(order, notice=_said(quiet, ""), step=_said(quiet, "  ")):
        size = f", {built.size_bytes / 1e9:.1f} GB" if built.size_bytes else ""
        click.echo(on_one_line(f"{built.name}  ({built.seconds:.0f} s{size})"))


def _named(arguments: tuple[str, ...]) -> dict[str, str]:
    for each in arguments:
        if not each.partition("=")[0] or "=" not in each:
            raise UsageError(on_one_line(f"--build-arg {each}: NAME=VALUE is wanted."))
    return dict(each.split("=", 1) for each in arguments)


def _said(quiet: bool, indent: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if not quiet:
            click.echo(on_one_line(f"{indent}{line}"), err=True)

    return say
