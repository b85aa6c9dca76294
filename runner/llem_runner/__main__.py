"""`python3 -m llem_runner EXCHANGE_FOLDER` · `… probe` · `… model NAME SOURCE DESTINATION`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from llem_runner.contract import ExitCode, RunFailed

_USAGE = """usage: python3 -m llem_runner EXCHANGE_FOLDER             execute and measure the run in EXCHANGE_FOLDER/in
       python3 -m llem_runner probe                       GPUs and NVML of this place, as JSON
       python3 -m llem_runner model NAME SOURCE DESTINATION   convert a builtin model"""


def main(arguments: list[str]) -> int:
    """Dispatch, and return the exit code."""
    if arguments == ["probe"]:
        return _probe()
    if len(arguments) == 4 and arguments[0] == "model":
        return _model(arguments[1], Path(arguments[2]), Path(arguments[3]))
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        from llem_runner.run import execute

        return execute(Path(arguments[0]))
    print(_USAGE, file=sys.stderr)
    return ExitCode.CONTRACT_MISMATCH


def _probe() -> int:
    from llem_runner.probe import probe

    print(json.dumps(probe(os.environ), indent=2))
    return ExitCode.OK


def _model(name: str, source: Path, destination: Path) -> int:
    from llem_runner.workload.builtin_models import prepare_builtin_model

    try:
        prepare_builtin_model(name, source, destination, lambda line: print(line, flush=True))
    except RunFailed as error:
        print(error.message, file=sys.stderr)
        return ExitCode.MODEL
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
