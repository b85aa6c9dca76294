"""What a run in a container costs on the host, against a bare create, start, wait and remove of the same image.

python tests/bench/container_overhead.py [--runs N] [--json]

A run is one of a real study: from `run_started` to `run_completed` in the journal, less the time in which its container
ran by the engine's own account (StartedAt to FinishedAt), which is the runner's. What it does inside is next to nothing
(tests/support/actor). Bare is what `docker run` would do: the same image, a Python that does nothing, no option but no
network, timed around the SDK's calls less the same. Both are on the test engine, one after the other in turns, so that
a machine that slows down treats them alike. Needs the engine to be up (make engine-up).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy

TESTS = Path(__file__).resolve().parent.parent
sys.path += [str(TESTS / name) for name in ("support", "engine/docker", "engine/nvml")]

from acted import GOOD, acts  # noqa: E402
from actor_image import actor_image  # noqa: E402
from docker_engine import Engine  # noqa: E402
from llem_process import journal  # noqa: E402

from llem.execution.observer import Observer, RunEnding  # noqa: E402
from llem.execution.start import start_study  # noqa: E402
from llem.study import load_study  # noqa: E402

FACTOR, EXTRA_S = 1.3, 0.3
_RESAMPLES, _SEED = 10_000, 1


def main() -> None:
    """Measure and report; the goal is at most 1.3 × bare + 0.3 s."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    engine = Engine.of_this_checkout()
    if not engine.daemon.answers():
        raise SystemExit("the test engine is not up: make engine-up")
    with engine.used():
        os.environ["DOCKER_HOST"] = engine.host
        client = engine.client()
        ours_s, bare_s = measured(client, actor_image(client), arguments.runs)
        client.close()
    report = summary(ours_s, bare_s)
    print(json.dumps(report) if arguments.json else in_words(report))


def measured(client: Any, image: str, runs: int) -> tuple[list[float], list[float]]:
    """Overheads in seconds: of the runs of one study, and of bare containers that take turns with them."""
    bare = _Bare(client, image)
    with TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        study = Path(folder) / "s.yaml"
        study.write_text(acts(GOOD, output={"folder": folder}, execution={"n_cycles": runs}))
        bare.once()
        end = start_study(load_study(study), bare)
        return _of_runs(end.folder), bare.overheads_s[1:]


class _Bare(Observer):
    """A bare container after each run."""

    def __init__(self, client: Any, image: str) -> None:
        self._client = client
        self._image = image
        self.overheads_s: list[float] = []

    def run_ended(self, ending: RunEnding) -> None:
        assert ending.result is not None, ending.message
        self.once()

    def once(self) -> None:
        """Create, start, wait, remove."""
        api = self._client.api
        start = time.perf_counter()
        host = api.create_host_config(network_mode="none")
        command = ["/opt/engine/bin/python3", "-S", "-c", "pass"]
        container = api.create_container(self._image, command, host_config=host)["Id"]
        api.start(container)
        api.wait(container)
        state = api.inspect_container(container)["State"]
        api.remove_container(container)
        self.overheads_s.append(time.perf_counter() - start - _inside_s(state["StartedAt"], state["FinishedAt"]))


def _of_runs(study: Path) -> list[float]:
    lines = journal(study)
    started = {line["run_id"]: line["unix_s"] for line in lines if line["event"] == "run_started"}
    completed = {line["run_id"]: line["unix_s"] for line in lines if line["event"] == "run_completed"}
    overheads_s = []
    for path in sorted(study.glob("runs/*/launch.json")):
        container = json.loads(path.read_text())["container"]
        run_id = path.parent.name.partition("-")[2]
        inside_s = _inside_s(container["started"], container["finished"])
        overheads_s.append(completed[run_id] - started[run_id] - inside_s)
    return overheads_s


def _inside_s(started: str, finished: str) -> float:
    """Seconds between two of the engine's times: RFC 3339 with nanoseconds, of which microseconds are kept."""
    begun, ended = (datetime.fromisoformat(f"{text[:19]}.{text[20:-1]:0<6.6}+00:00") for text in (started, finished))
    return (ended - begun).total_seconds()


def summary(ours_s: Sequence[float], bare_s: Sequence[float]) -> dict[str, Any]:
    """Medians with 95 % intervals (bootstrap), and of their ratio."""
    random = numpy.random.default_rng(_SEED)
    ours, bare = (numpy.median(random.choice(values, (_RESAMPLES, len(values))), axis=1) for values in (ours_s, bare_s))
    goal_s = FACTOR * statistics.median(bare_s) + EXTRA_S
    return {
        "runs": len(ours_s),
        "run_s": [statistics.median(ours_s), *_interval(ours)],
        "bare_s": [statistics.median(bare_s), *_interval(bare)],
        "ratio": [statistics.median(ours_s) / statistics.median(bare_s), *_interval(ours / bare)],
        "goal_s": goal_s,
        "met": statistics.median(ours_s) <= goal_s,
    }


def _interval(values: Any) -> list[float]:
    return [float(each) for each in numpy.quantile(values, (0.025, 0.975))]


def in_words(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{what:<22} median {value:.3f} {unit} (95 %: {low:.3f} to {high:.3f})"
        for what, unit, (value, low, high) in (
            ("a run's overhead", "s", report["run_s"]),
            ("a bare container's", "s", report["bare_s"]),
            ("ratio", "", report["ratio"]),
        )
    ]
    verdict = "met" if report["met"] else "missed"
    goal = f"{report['goal_s']:.3f} s ({FACTOR} × bare + {EXTRA_S} s): {verdict}"
    return "\n".join([*lines, f"goal, {report['runs']} runs each   at most {goal}"])


if __name__ == "__main__":
    main()
