"""`llem images verify`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.errors import CliExit
from llem.printable import json_for_terminal, on_one_line

if TYPE_CHECKING:
    from llem.launch.docker import ImageReport


@click.command(name="verify")
@click.argument("what", nargs=-1, metavar="[BACKEND|IMAGE]…")
@click.option("--study", type=click.Path(path_type=Path), help="Also the images that the runs of this study need.")
@click.option("--fresh", is_flag=True, help="Look again, also into images that are known from before.")
@click.option("--json", "as_json", is_flag=True, help="As a list, with all that is known of each image.")
def command(what: tuple[str, ...], study: Path | None, fresh: bool, as_json: bool) -> None:
    """Whether images have what runs need; without any name those of all backends. Exit code 3 where one has not.

    \b
    llem images verify vllm
    llem images verify --study study.yaml
    llem images verify my-registry/my-torch:2.7-cuda
    """
    from llem.cli.dotenv_file import apply_dotenv
    from llem.execution.verify_images import verify_images
    from llem.study.keys import BACKENDS

    apply_dotenv(study)
    reports = verify_images(what if what or study is not None else tuple(BACKENDS), study, fresh)
    if as_json:
        rows = [_row(report) for report in reports]
        click.echo(json_for_terminal(json.dumps(rows, indent=2, ensure_ascii=False)))
    else:
        for report in reports:
            _print(report)
    if any(report.missing for report in reports):
        raise click.exceptions.Exit(int(CliExit.NOT_READY))


def _row(report: ImageReport) -> dict[str, Any]:
    return {
        "image": report.name,
        "digest": report.digest,
        "backends": list(report.backends),
        "ok": not report.missing,
        "cached": report.cached,
        "findings": [asdict(finding) for finding in report.findings],
        "facts": report.facts.model_dump(mode="json") if report.facts else None,
    }


def _print(report: ImageReport) -> None:
    backends = f" for {', '.join(report.backends)}" if report.backends else ""
    known = " (known from before; --fresh looks again)" if report.cached else ""
    click.echo(on_one_line(f"{report.name}{backends}: {'missing something' if report.missing else 'will do'}{known}"))
    width = max(len(finding.subject) for finding in report.findings)
    for finding in report.findings:
        click.echo(on_one_line(f"  {finding.level:<7}  {finding.subject:<{width}}  {finding.message}"))
        if finding.remedy:
            click.echo(on_one_line(f"  {'':<7}  {'':<{width}}  → {finding.remedy}"))
