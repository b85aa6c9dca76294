from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from llem.launch.child import run_child


def never(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def test_a_child_that_ends_gives_its_code_and_its_last_words() -> None:
    done = run_child([sys.executable, "-c", "print('one'); print('two'); raise SystemExit(3)"], never)
    assert (done.exit_code, done.last_words) == (3, "one\ntwo")


def test_claim_18_a_child_is_killed_when_we_are_asked_to_end(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    def once_it_runs(seconds: float) -> bool:
        time.sleep(seconds)
        return pid.exists() and bool(pid.read_text())

    assert run_child([sys.executable, "-c", code], once_it_runs).exit_code is None
    assert not psutil.pid_exists(int(pid.read_text()))


def test_a_child_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    inner = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    outer = (
        "import sys, time; from llem.launch.child import run_child\n"
        f"run_child([sys.executable, '-c', {inner!r}], lambda s: time.sleep(s))"
    )
    parent = subprocess.Popen([sys.executable, "-c", outer])
    end = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    child = psutil.Process(int(pid.read_text()))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_claim_12_what_a_child_says_is_heard_line_by_line_and_each_once() -> None:
    heard: list[str] = []
    code = (
        "import sys, time\nfor i in range(5): print('step', i, flush=True); time.sleep(0.05)\nsys.stdout.write('torn')"
    )
    done = run_child([sys.executable, "-c", code], never, heard.append)
    assert heard == [f"step {i}" for i in range(5)]
    assert done.exit_code == 0
