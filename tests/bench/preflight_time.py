"""How long a preflight takes with everything present, and how long `llem doctor` does for the same study.

python tests/bench/preflight_time.py [--times N] [--json]

The study asks for the simulated GPUs of the test engine, in an image that is there (tests/support/actor_image.py): no
check is skipped for want of something, and none fails. The time is the preflight's own account, from the study's file
being read to the last check; doctor's is that of the whole command. Needs the engine to be up (make engine-up).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

TESTS = Path(__file__).resolve().parent.parent
sys.path += [str(TESTS / name) for name in ("support", "engine/docker", "engine/nvml")]

from acted import GOOD, acts  # noqa: E402
from actor_image import actor_image  # noqa: E402
from docker_engine import Engine  # noqa: E402

from llem.execution.observer import Observer  # noqa: E402
from llem.execution.start import start_study  # noqa: E402
from llem.study import load_study  # noqa: E402

_TOLD = re.compile(r"Preflight: (\d+) checks, ([0-9.]+) s\.")


def main() -> None:
    """Measure and report; the goal is seconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    engine = Engine.of_this_checkout()
    if not engine.daemon.answers():
        raise SystemExit("the test engine is not up: make engine-up")
    with engine.used(), engine.gpus.for_one_test(), TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        os.environ["DOCKER_HOST"] = engine.host
        client = engine.client()
        actor_image(client)
        client.close()
        study = Path(folder) / "s.yaml"
        study.write_text(acts(GOOD, device="cuda", output={"folder": folder}))
        report = measured(study, arguments.times)
    print(json.dumps(report) if arguments.json else in_words(report))


def measured(study: Path, times: int) -> dict[str, object]:
    """Seconds of each preflight and of each doctor, taking turns."""
    preflights_s, doctors_s, checks = [], [], 0
    for _ in range(times):
        listener = _Listener()
        start_study(load_study(study), listener)
        checks = listener.checks
        preflights_s.append(listener.seconds)
        start = time.perf_counter()
        command = [str(Path(sys.executable).parent / "llem"), "doctor", "--study", str(study)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        doctors_s.append(time.perf_counter() - start)
    return {"checks": checks, "times": times, "preflight_s": preflights_s, "doctor_s": doctors_s}


class _Listener(Observer):
    """Hears what a preflight says of itself."""

    def __init__(self) -> None:
        self.checks = 0
        self.seconds = float("nan")

    def notice(self, message: str) -> None:
        if found := _TOLD.match(message):
            self.checks, self.seconds = int(found[1]), float(found[2])


def in_words(report: dict[str, object]) -> str:
    """The report for people."""
    lines = []
    for what, key in (("preflight", "preflight_s"), ("llem doctor --study", "doctor_s")):
        values = report[key]
        assert isinstance(values, list)
        lines.append(f"{what:<20} median {statistics.median(values):.2f} s of {len(values)}, worst {max(values):.2f} s")
    return "\n".join([*lines, f"{report['checks']} checks, everything present"])


if __name__ == "__main__":
    main()
