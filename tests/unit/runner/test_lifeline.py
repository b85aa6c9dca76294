"""What ends a run from outside, in processes of its own: a signal handler belongs to a whole process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llem_runner.lifeline import Stopped, StopRequest

PREFACE = """
import os, signal, sys, time
from llem_runner.lifeline import Stopped, StopRequest, end_with_standard_input

stop = StopRequest(grace_s=float(sys.argv[1]))
stop.on_sigterm()


def ask():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)  # the handler runs between byte codes
"""


def run(code: str, grace_s: float = 60.0, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PREFACE + code, str(grace_s)]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, start_new_session=True)


def test_a_stop_is_no_exception_that_an_engine_would_handle() -> None:
    assert not issubclass(Stopped, Exception)


def test_nobody_asked_nobody_is_stopped() -> None:
    StopRequest().check()


def test_sigterm_raises_once_and_the_clean_up_is_not_disturbed() -> None:
    done = run(
        """
try:
    try: ask()
    finally: ask(); print("cleaned up")
except Stopped as stopped: print(stopped, stop.requested)
"""
    )
    assert done.stdout == "cleaned up\nthe run was stopped by SIGTERM True\n"


@pytest.mark.parametrize(
    "swallow",
    [
        "class Swallows:\n    def __del__(self): ask()\nSwallows()",
        "try: ask()\nexcept BaseException: pass",
        "try:\n    try: ask()\n    except BaseException as error: raise RuntimeError('InductorError') from error\n"
        "except Exception: pass",
    ],
    ids=["in-a-destructor", "bare-except", "renamed"],
)
def test_a_stop_that_was_swallowed_is_raised_again_at_the_next_check(swallow: str) -> None:
    done = run(f"{swallow}\nprint('went on')\ntry: stop.check()\nexcept Stopped: print('stopped')\n")
    assert done.stdout == "went on\nstopped\n"


def test_a_stop_that_comes_too_late_changes_nothing() -> None:
    done = run("stop.too_late()\nask()\nstop.check()\nprint('written')")
    assert (done.returncode, done.stdout) == (0, "written\n")


def test_a_run_that_does_not_end_after_sigterm_is_killed_when_the_grace_is_over() -> None:
    done = run("try: ask()\nexcept Stopped: time.sleep(50)", grace_s=0.1)
    assert done.returncode == -9


def test_the_end_of_standard_input_is_a_stop() -> None:
    done = run("try:\n    end_with_standard_input()\n    time.sleep(50)\nexcept Stopped: print('stopped')", given="")
    assert done.stdout == "stopped\n"
