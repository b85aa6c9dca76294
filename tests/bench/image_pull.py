"""How long `llem images pull` takes, against `docker pull` of the same image from the same registry.

python tests/bench/image_pull.py [--megabytes N] [--pairs N] [--json]

Whole commands, their start included, one after the other in turns on the test engine; the image is taken from it
before each. The registry is on the loopback interface, so that what is compared is the asking and not the network.
Its layers do not compress: the engine unpacks as much as it downloads. Needs the engine to be up (make engine-up).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
sys.path += [str(TESTS / name) for name in ("bench", "support", "engine/docker", "engine/nvml")]

from docker_engine import Engine  # noqa: E402
from interleaved import interval, seconds  # noqa: E402
from llem_process import LLEM  # noqa: E402
from registry import Registry, forget, registry  # noqa: E402

GOAL = 1.1
LAYERS = 8
REPOSITORY = "llem-bench/pulled"


def main() -> None:
    """Measure and report; the goal is at most 1.1 times `docker pull`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    engine = Engine.of_this_checkout()
    if not engine.daemon.answers():
        raise SystemExit("the test engine is not up: make engine-up")
    with TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder, engine.used():
        client = engine.client(timeout_s=300)
        with registry(Path(folder) / "registry", engine.programs) as shelf:
            name = _stored(shelf, arguments.megabytes)
            report = measured(client, _commands(engine, name), arguments.pairs)
        client.close()
    report |= {"megabytes": arguments.megabytes, "pairs": arguments.pairs, "met": report["ratio"] <= GOAL}
    print(json.dumps(report) if arguments.json else in_words(report))


def _stored(shelf: Registry, megabytes: int) -> str:
    layers = [{f"layer{number}": secrets.token_bytes(megabytes * 1_000_000 // LAYERS)} for number in range(LAYERS)]
    shelf.put(f"{REPOSITORY}:1", layers, level=0)
    return f"{shelf.address}/{REPOSITORY}:1"


def _commands(engine: Engine, name: str) -> tuple[Callable[[], None], Callable[[], None]]:
    environment = {**os.environ, "DOCKER_HOST": engine.host}

    def command(*words: str) -> Callable[[], None]:
        def run() -> None:
            subprocess.run(words, env=environment, check=True, capture_output=True)

        return run

    return command(LLEM, "images", "pull", name), command(str(engine.programs.program("docker")), "pull", name)


def measured(client: Any, commands: Sequence[Callable[[], None]], pairs: int) -> dict[str, Any]:
    """Seconds of both commands by turns, and the ratio with its 95 % interval."""
    taken_s: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            forget(client, REPOSITORY)
            taken_s[which].append(seconds(commands[which]))
    forget(client, REPOSITORY)
    ours_s, bare_s = taken_s
    ratios = [ours / bare for ours, bare in zip(ours_s, bare_s, strict=True)]
    return {"ours_s": ours_s, "bare_s": bare_s, **interval(ratios)}


def in_words(report: dict[str, Any]) -> str:
    """The report for people."""
    ours_s, bare_s = (sorted(report[name])[len(report[name]) // 2] for name in ("ours_s", "bare_s"))
    verdict = "met" if report["met"] else "missed"
    return (
        f"{report['megabytes']} MB: llem images pull {ours_s:.2f} s, docker pull {bare_s:.2f} s, ratio "
        f"{report['ratio']:.3f} (95 %: {report['lower']:.3f} to {report['upper']:.3f}, {report['pairs']} pairs; "
        f"goal at most {GOAL}: {verdict})"
    )


if __name__ == "__main__":
    main()
