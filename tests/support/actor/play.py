"""Plays the run that the experiment's `passthrough_kwargs.act` writes out as Python; without one, the real runner.

Inside a container, instead of the runner: for what a real run cannot be made to do on demand, and for code that means
harm. The names below are at hand in the act.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

EXCHANGE = Path("/exchange")
OUT = EXCHANGE / "out"
ORDER: dict[str, Any] = json.loads((EXCHANGE / "in" / "experiment.json").read_bytes())


def event(**fields: Any) -> None:
    """Append an event."""
    with (OUT / "events.jsonl").open("a") as file:
        file.write(json.dumps({"t": time.monotonic(), **fields}) + "\n")


def phase(name: str) -> None:
    """A phase begins."""
    event(event="phase", name=name)


def result(**changes: Any) -> dict[str, Any]:
    """A result that this attempt could have written."""
    record = json.loads(Path("/usr/local/lib/actor/result.json").read_bytes())
    own = {name: ORDER[name] for name in ("run_id", "attempt", "nonce", "contract_version", "experiment")}
    return {**record, **own, "backend": ORDER["experiment"]["backend"], **changes}


def complete(**changes: Any) -> None:
    """End as a good run does."""
    (OUT / ".result").write_text(json.dumps(result(**changes)))
    (OUT / ".result").rename(OUT / "result.json")


def report(**changes: Any) -> None:
    """Write an error.json."""
    own = {name: ORDER[name] for name in ("nonce", "contract_version")}
    record = {**own, "kind": "inference", "message": "it said so", "phase": "measure", **changes}
    (OUT / "error.json").write_text(json.dumps(record))


if __name__ == "__main__":
    act = ORDER["experiment"]["passthrough_kwargs"].get("act")
    if act is None:
        os.execv("/opt/engine/bin/python3", ["python3", *sys.argv[1:]])
    exec(compile(act, "act", "exec"), globals())
