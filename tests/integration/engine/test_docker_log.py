"""What is seen of a run: its events while it goes on, what it printed, and how its container ended."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from acted import NOTHING, acts, kinds, left_of
from acted_runs import UNTIL_TOLD, launched, printed, run_folder, tell
from docker_engine import Engine, SimulatedGpus
from llem_process import LLEM, environment, the_study
from simulated_nvml import h100

from llem import load_study
from llem.execution.observer import Observer
from llem.execution.plan_file import PlannedRun
from llem.execution.start import start_study
from llem.launch.log_file import HEAD_BYTES, TAIL_BYTES
from llem_runner.contract.events import Event, HeartbeatEvent, ProgressEvent

GOOD = """
print("a good run says this")
complete()
"""
FAILS = r"""
for number in range(30):
    print(f"out {number} \x1b[2J\x1b]0;title\x07 end", flush=True)
    print(f"err {number} \x9b31m\u202e end", file=sys.stderr, flush=True)
print("last of all")
sys.exit(5)
"""
GARBAGE = r"""
os.write(1, bytes(range(256)) * 40)
os.write(2, b"\xff\xfe\x00" * 100)
sys.exit(1)
"""
ONE_LINE = """
os.write(1, b"x" * 3_000_000 + b"the end of it")
os.kill(os.getpid(), 9)
"""
FLOOD = """
line = b"y" * 99 + b"\\n"
for _ in range(200):
    sys.stdout.buffer.write(line * 10_000)
print("after the flood")
complete()
"""
MOST_KIB = 300 * 1024
# From a small process of its own: a process is charged with the memory of the one that it was forked from.
WITH_PEAK = """
import pathlib, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
pathlib.Path("peak").write_text(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


class Seen(NamedTuple):
    """A study that has run, what the terminal showed of it, and the most memory that llem had."""

    study: Path
    terminal: str
    exit_code: int
    peak_kib: int


@pytest.fixture(scope="module")
def seen(actor: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("log")
    limits = {"max_consecutive_failures": 100}
    (folder / "s.yaml").write_text(acts(GOOD, FAILS, GARBAGE, ONE_LINE, FLOOD, execution=limits))
    with (folder / "terminal").open("wb") as terminal:
        done = subprocess.run(
            [sys.executable, "-c", WITH_PEAK, LLEM, "run", "s.yaml"],
            cwd=folder,
            env=environment({"DOCKER_HOST": engine.host}),
            stdout=terminal,
            stderr=terminal,
        )
    text = (folder / "terminal").read_text()
    return Seen(the_study(folder / "results"), text, done.returncode, int((folder / "peak").read_text()))


def is_harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


def test_claim_6_9_both_streams_go_to_container_log_in_the_order_of_each_without_control_characters(
    seen: Seen,
) -> None:
    assert printed(seen.study, 1) == "a good run says this\n"
    lines = printed(seen.study, 2).splitlines()
    for stream in ("out", "err"):
        found = [line.split()[1] for line in lines if line.startswith(stream)]
        assert found == [str(number) for number in range(30)]
    assert lines.index("last of all") > max(lines.index(line) for line in lines if line.startswith("out"))
    assert all(is_harmless(printed(seen.study, sequence)) for sequence in range(1, 6))
    assert is_harmless(seen.terminal)


def test_claim_6_9_the_last_20_lines_are_shown_of_a_run_that_failed_and_of_no_other(seen: Seen) -> None:
    assert seen.exit_code == 1
    shown: dict[str, list[str]] = {}
    for line in seen.terminal.splitlines():
        if line.startswith("["):
            shown[of_run := line[:5]] = []
        elif line.startswith("    | "):
            shown[of_run].append(line.removeprefix("    | "))
    assert shown["[2/5]"] == printed(seen.study, 2).splitlines()[-20:]
    assert (shown["[1/5]"], shown["[5/5]"]) == ([], [])


def test_claim_6_9_garbage_and_a_line_without_an_end_are_kept(seen: Seen) -> None:
    assert "ABCDEFGHIJKLMNOPQRSTUVWXYZ" in printed(seen.study, 3)
    log = printed(seen.study, 4)
    assert log.rstrip("\n").endswith("the end of it")
    assert log.count("x") == 3_000_000


def test_claim_6_9_what_a_run_prints_without_end_is_capped_on_the_disk_and_in_memory(seen: Seen) -> None:
    log = run_folder(seen.study, 5) / "container.log"
    assert log.stat().st_size < HEAD_BYTES + TAIL_BYTES + 1000
    text = log.read_text()
    assert text.endswith("y\nafter the flood\n")
    assert "bytes left out here" in text
    assert seen.peak_kib < MOST_KIB


def test_claim_6_11_launch_json_says_image_digest_container_exit_state_and_times(
    client: Any, actor: str, seen: Seen
) -> None:
    image = client.images.get(actor)
    assert kinds(seen.study) == ["completed", "accelerator_oom", "runner_crash", "killed", "completed"]
    for sequence, code in enumerate((0, 5, 1, 137, 0), start=1):
        launch = launched(seen.study, sequence)
        container = launch["container"]
        assert (launch["image"], launch["digest"], container["image_id"]) == (actor, image.id, image.id)
        assert (container["name"], len(container["id"])) == (launch["handle"], 64)
        assert (container["exit_code"], container["oom_killed"]) == (code, False)
        began, ended = (unix_s(container[name]) for name in ("started", "finished"))
        assert launch["started_unix_s"] < began < ended < launch["ended_unix_s"]
        assert launch["place"] == {"host": "localhost", "gpu_model": None, "gpu_uuids": []}
        assert launch["engine"].startswith("Docker ")
        assert launch["state"]["exit_code"] == code
    result = json.loads((run_folder(seen.study, 1) / "result.json").read_text())
    assert result["image"] == {"name": actor, "digest": image.id}


def unix_s(time: str) -> float:
    return datetime.fromisoformat(time[:26].rstrip("Z") + "+00:00").timestamp()


LIVE = """
import pynvml
pynvml.nvmlInit()
board = pynvml.nvmlDeviceGetHandleByIndex(0)
phase("measure")
event(event="progress", done=7, total=10, unit="prompts")
event(event="heartbeat", power_w=pynvml.nvmlDeviceGetPowerUsage(board) / 1000)
""" + (UNTIL_TOLD + "complete()")


class Watching(Observer):
    """Lets the run end only when its power and its progress have been seen."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.seen: list[Event] = []

    def run_event(self, run: PlannedRun, event: Event) -> None:
        self.seen.append(event)
        if isinstance(event, HeartbeatEvent):
            tell(the_study(self._parent))


def test_claim_6_9_progress_and_power_are_seen_while_the_run_goes_on_and_claim_11_its_gpu_is_in_launch_json(
    client: Any, actor: str, engine: Engine, engine_gpus: SimulatedGpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(acts(LIVE, device="auto"))
    watching = Watching(tmp_path / "results")
    end = start_study(load_study(tmp_path / "s.yaml"), watching)
    assert kinds(end.folder) == ["completed"], printed(end.folder)
    [progress] = [event for event in watching.seen if isinstance(event, ProgressEvent)]
    [heartbeat] = [event for event in watching.seen if isinstance(event, HeartbeatEvent)]
    assert (progress.done, progress.total, heartbeat.power_w) == (7, 10, 300.0)
    launch = launched(end.folder)
    assert launch["place"]["gpu_uuids"] == [h100(0).uuid]
    assert launch["gpu_driver"] == "nvidia"
    assert left_of(client, tmp_path) == NOTHING
