"""`make test`: the engine is up around the tests, and where there can be none this is said, and fails in CI."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from docker_engine import REPOSITORY, Engine
from engine_commands import docker_engine

# Root that may not make namespaces, as inside an ordinary container.
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
ONE_TEST_OF_CONTAINERS = (
    "tests/integration/engine/test_engine_gpus.py::test_claim_6_2_the_hook_can_play_a_broken_driver"
)
ANOTHER_TEST = "tests/unit/metrics/test_latency.py"
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", ONE_TEST_OF_CONTAINERS, ANOTHER_TEST)


def test_claim_6_3_make_test_runs_pytest_with_the_engine_around_it() -> None:
    installed = f"{sys.prefix}/.installed-dev"
    command = ["make", "--dry-run", "-o", installed, f"VENV={sys.prefix}", "test"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert re.search(r"tests/engine/docker around \S+/bin/python -m pytest", done.stdout), done.stdout + done.stderr


def test_claim_6_3_the_engine_is_up_while_the_tests_run_and_their_exit_code_counts(engine: Engine) -> None:
    done = docker_engine("around", "sh", "-c", f"test -S {engine.daemon.socket} && exit 3")
    assert done.returncode == 3, done.stderr
    assert "is up at" in done.stderr
    # This very test is a user of it.
    assert "stays up" in done.stderr
    assert engine.daemon.answers()


@pytest.mark.parametrize(("ci", "code", "outcome"), [("", 0, "1 skipped"), ("true", 1, "1 error")])
def test_claim_6_3_without_rights_the_rest_runs_and_it_is_said_loudly_and_is_a_failure_in_ci(
    tmp_path: Path, ci: str, code: int, outcome: str
) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path), "CI": ci}
    done = docker_engine("around", *PYTEST, env=environment, prefix=WITHOUT_RIGHTS)
    assert done.returncode == code, done.stdout + done.stderr
    assert outcome in done.stdout
    assert re.search(r"\d+ passed", done.stdout), done.stdout
    assert "NO CONTAINER TESTED" in done.stdout
    assert "No container is tested here: root may not make namespaces" in done.stderr
    assert "No container was tested here" in done.stderr


def test_claim_6_3_a_ctrl_c_ends_the_tests_and_their_exit_code_still_counts(engine: Engine) -> None:
    # To the whole group, as a terminal sends it.
    command = "trap 'exit 7' INT; kill -INT 0; sleep 60"
    done = docker_engine("around", "sh", "-c", command, prefix=("setsid", "--wait"))
    assert done.returncode == 7, done.stderr
    assert "stays up" in done.stderr
    assert "Traceback" not in done.stderr


def test_claim_6_3_engine_up_without_rights_says_why(tmp_path: Path) -> None:
    done = docker_engine("up", env={"XDG_CACHE_HOME": str(tmp_path)}, prefix=WITHOUT_RIGHTS)
    assert done.returncode == 1
    assert "No test engine: root may not make namespaces and mounts here" in done.stderr
    assert list(tmp_path.iterdir()) == []
