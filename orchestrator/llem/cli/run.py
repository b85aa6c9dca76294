"""`llem run`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from llem.cli.progress import observer_for
from llem.errors import UsageError

_ORDERS = ["sequential", "interleaved", "shuffled", "reverse", "latin_square"]


@click.command(name="run")
@click.argument("study", required=False, type=click.Path(path_type=Path))
@click.option("--resume", metavar="FOLDER", type=click.Path(path_type=Path), help="Go on with the study in FOLDER.")
@click.option("--model", help="Run one experiment: builtin:NAME, a model folder, or an id of the Hub.")
@click.option("--backend", help="Backend of that experiment.  [pytorch]")
@click.option("--n", type=int, help="Its number of prompts.  [100]")
@click.option("--precision", help="Its precision: fp32, fp16 or bf16.  [bf16]")
@click.option("--dataset", help="Its prompts: builtin, or a file.  [builtin]")
@click.option("--max-input-tokens", type=int, help="Tokens that its prompts are cut to.  [512]")
@click.option("--max-output-tokens", type=int, help="Tokens it generates at most.  [128]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Parent of study folders.  [results]")
@click.option("--cycles", type=int, help="Measure every experiment so many times.")
@click.option("--order", type=click.Choice(_ORDERS), help="Order of the runs over the cycles.")
@click.option("--no-gaps", is_flag=True, help="No pauses between runs.")
@click.option("--offline", is_flag=True, help="Fetch no model: those in the caches only (as HF_HUB_OFFLINE=1).")
@click.option("--dry-run", is_flag=True, help="Check the study and show its plan; start nothing.")
@click.option("-q", "--quiet", is_flag=True, help="No progress: the result only.")
@click.option("-v", "--verbose", is_flag=True, help="Every phase and warning of every run.")
@click.pass_context
def command(ctx: click.Context, /, study: Path | None, resume: Path | None, **options: Any) -> None:
    """Run a study, go on with one (--resume), or run a single experiment (--model).

    \b
    llem run study.yaml
    llem run --model builtin:smollm2-135m --backend pytorch --n 20
    llem run --resume results/my-study-1a2b3c4d-20260131T120000Z

    \b
    Exit codes: 0 everything completed · 1 a run failed, or a limit ended the study · 2 wrong usage or study file ·
    3 the machine is not ready · 130 interrupted (go on with --resume)
    """
    if sum(source is not None for source in (study, resume, options["model"])) != 1:
        raise UsageError("Give one of: a study file, --model, or --resume FOLDER. See llem run --help.")
    from llem.cli.dotenv_file import apply_dotenv

    apply_dotenv(study)
    if options.pop("offline"):
        # What the Hub's own client goes by, in whichever process it is.
        os.environ["HF_HUB_OFFLINE"] = "1"
    if options["dry_run"]:
        _dry_run(study, resume, options)
        return
    ctx.exit(_run(study, resume, options))


def _run(study: Path | None, resume: Path | None, options: dict[str, Any]) -> int:
    from llem.cli.app import forget_stdout
    from llem.cli.result_table import print_study
    from llem.execution.start import resume_study, start_study

    observer = observer_for(quiet=options["quiet"], verbose=options["verbose"])
    if resume is not None:
        _refuse_with_resume(options)
        end = resume_study(resume, observer)
    else:
        end = start_study(_study(study, options), observer)
    try:
        print_study(end.result, end.folder)
        sys.stdout.flush()
    except OSError:
        # Nobody reads on. How the study went is in its folder, and still decides the exit code.
        forget_stdout()
    why = {
        "interrupted": "Interrupted",
        "consecutive_failures": "Stopped: too many runs failed in a row",
        "wall_clock": "Stopped: the time limit is reached",
        "no_healthy_gpu": "Stopped: no healthy GPU is left",
    }
    if end.reason in why:
        command = shlex.join([_program(), "run", "--resume", str(end.folder)])
        click.echo(f"{why[end.reason]}. Go on with:  {command}", err=True)
    return int(end.exit_code)


def _program() -> str:
    """How this program is called again: `llem` where that is found, else by its path (a virtual environment's)."""
    return "llem" if shutil.which("llem") else sys.argv[0]


def _dry_run(study: Path | None, resume: Path | None, options: dict[str, Any]) -> None:
    from llem.cli.plan import print_plan
    from llem.execution.check import check_study

    if resume is not None:
        raise UsageError("--dry-run shows the plan of a study file; a study folder has it in plan.jsonl.")
    loaded = _study(study, options)
    print_plan(loaded, check_study(loaded, os.environ, lambda message: click.echo(message, err=True)).plan)
    click.echo("Dry run: checked, nothing started.")


def _study(path: Path | None, options: dict[str, Any]) -> Any:
    from llem.study import StudyOverrides, load_study, study_of

    overrides = StudyOverrides(
        cycles=options["cycles"],
        order=options["order"],
        no_gaps=options["no_gaps"],
        output_folder=str(options["output"]) if options["output"] else None,
    )
    experiment_keys = ("backend", "n", "precision", "dataset", "max_input_tokens", "max_output_tokens")
    given = {key: options[key] for key in experiment_keys if options[key] is not None}
    if path is not None:
        if given:
            names = ", ".join("--" + key.replace("_", "-") for key in given)
            raise UsageError(f"{names}: these go with --model; a study file says them itself.")
        return load_study(path, overrides)
    name = str(options["model"]).rstrip("/").rsplit("/", 1)[-1].removeprefix("builtin:")
    return study_of({"model": options["model"], **given}, name=name, overrides=overrides)


def _refuse_with_resume(options: dict[str, Any]) -> None:
    allowed = ("quiet", "verbose", "dry_run")
    given = [name for name, value in options.items() if value not in (None, False) and name not in allowed]
    if given:
        flag = "--" + given[0].replace("_", "-")
        raise UsageError(f"{flag} cannot be changed with --resume: the plan of that study is made.")
