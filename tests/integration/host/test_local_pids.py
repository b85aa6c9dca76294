"""Which processes are a local run's: the runner's own, its children's, and those that left their parent behind."""

from __future__ import annotations

import subprocess
import sys

from llem.launch.local import LocalLauncher

# A child, and a grandchild whose parent ends: it stays in the session. Both ids are printed once they are there.
RUNNER = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen(sleep)
quiet = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
inner = f"import subprocess, sys; print(subprocess.Popen(sys.argv[1:], {quiet}).pid, flush=True)"
orphan = subprocess.run([sys.executable, "-c", inner, *sleep], capture_output=True, text=True, check=True).stdout
print(child.pid, int(orphan), flush=True)
time.sleep(60)
"""


def test_claim_8_8_a_local_runs_processes_are_its_tree_and_its_session_and_nobody_elses() -> None:
    launcher = LocalLauncher(gpus=[])
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    runner = subprocess.Popen([sys.executable, "-c", RUNNER], stdout=subprocess.PIPE, start_new_session=True)
    launcher._processes["h"] = runner
    try:
        assert runner.stdout is not None
        child, orphan = map(int, runner.stdout.readline().split())
        assert launcher.pids("h") == {runner.pid, child, orphan}
    finally:
        other.kill()
        other.wait()
        launcher.stop("h", 0)
        if runner.stdout:
            runner.stdout.close()
