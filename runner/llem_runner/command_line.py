"""`python3 -m llem_runner EXCHANGE_FOLDER` · `… probe [EXCHANGE_FOLDER]` · `… model NAME SOURCE DESTINATION`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from llem_runner.contract import ExitCode, RunFailed
from llem_runner.contract.exchange import IN, OUT, PROBE_FILE

_USAGE = """usage: python3 -m llem_runner EXCHANGE_FOLDER             execute and measure the run in EXCHANGE_FOLDER/in
       python3 -m llem_runner probe [EXCHANGE_FOLDER]     GPUs and NVML of this place, as JSON (into its out/)
       python3 -m llem_runner model NAME SOURCE DESTINATION   convert a builtin model"""


def main(arguments: list[str]) -> int:
    """Dispatch, and return the exit code."""
    if arguments[:1] == ["probe"] and len(arguments) <= 2:
        return _probe(Path(arguments[1]) if len(arguments) == 2 else None)
    if len(arguments) == 4 and arguments[0] == "model":
        return _model(arguments[1], Path(arguments[2]), Path(arguments[3]))
    if len(arguments) == 1 and not arguments[0].startswith("-"):
        from llem_runner.run import execute

        return execute(Path(arguments[0]))
    print(_USAGE, file=sys.stderr)
    return ExitCode.CONTRACT_MISMATCH


def _probe(folder: Path | None) -> int:
    from llem_runner.probe import probe

    found = probe(os.environ)
    if folder is None:
        print(json.dumps(found, indent=2))
        return ExitCode.OK
    nonce = (folder / IN / PROBE_FILE).read_text(encoding="utf-8")
    (folder / OUT / PROBE_FILE).write_text(json.dumps({"nonce": nonce, "probe": found}), encoding="utf-8")
    return ExitCode.OK


def _model(name: str, source: Path, destination: Path) -> int:
    from llem_runner.workload.builtin_models import prepare_builtin_model

    try:
        prepare_builtin_model(name, source, destination, lambda line: print(line, flush=True))
    except RunFailed as error:
        print(error.message, file=sys.stderr)
        return ExitCode.MODEL
    return ExitCode.OK
