"""The failure table, on the real engine: each ends as its kind, with its message; the study goes on, nothing is left.

The engine that goes away itself is in test_docker_outage.py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acted import BUSY, GOOD, NOTHING, acts, container_of, endings, kinds, left_of, state_of
from actor_image import ACTOR_IMAGE, built
from docker_engine import BASE_IMAGE, Engine, SimulatedGpus
from llem_process import Hosts, events_of, llem, the_study, wait_for_phase
from shown_disk import shown_disk
from simulated_nvml import h100

from llem.errors import CliExit
from llem.execution.observer import Observer
from llem.execution.start import start_study
from llem.study import load_study

Llem = Callable[..., subprocess.CompletedProcess[str]]

CRASHED, OUTSIDE = "the runner crashed", "ended from outside; llem did not ask for it"
IN_CHILD = (
    "import subprocess\nprint(subprocess.run([sys.executable, '-c', 'bytearray(1 << 30)']).returncode, flush=True)\n"
)


def ends(code: int) -> str:
    """An act that ends with a code, and says of itself what does not decide: the code does."""
    return f"report(); sys.exit({code})"


# What a run does → the kind that it ends as, and what a person reads.
TABLE: dict[str, tuple[str, str, str]] = {
    "good": (GOOD, "completed", ""),
    "exit_0_and_no_result": ("pass", "result_invalid", "out/result.json is missing"),
    "result_torn": (
        "(OUT / 'result.json').write_text(json.dumps(result())[:200])",
        "result_invalid",
        "out/result.json: not JSON, perhaps torn",
    ),
    "result_forged": ("complete(nonce='0' * 32)", "result_invalid", "does not echo this attempt's nonce"),
    "result_of_another_version": (
        "complete(contract_version=ORDER['contract_version'] + 1)",
        "result_invalid",
        "the result is of contract version",
    ),
    "result_of_another_run": ("complete(run_id='another-c1')", "result_invalid", "the result is of another run"),
    "result_of_another_experiment": (
        "complete(experiment={**ORDER['experiment'], 'n': 99})",
        "result_invalid",
        "of another experiment",
    ),
    "good_result_and_exit_1": ("complete(); sys.exit(1)", "runner_crash", "the runner crashed; exit code 1"),
    "exit_1": (ends(1), "runner_crash", "it said: it said so; in phase measure; exit code 1"),
    "exit_2": (ends(2), "contract_mismatch", "Use the same version of llem on both sides"),
    "exit_3": (ends(3), "backend", "the backend cannot be imported, or cannot use the device"),
    "exit_4": (ends(4), "model", "the model cannot be loaded"),
    "exit_5": (ends(5), "accelerator_oom", "the accelerator ran out of memory; it said: it said so"),
    "exit_6": (ends(6), "gpu_lost", "the GPU, or NVML on it, was lost"),
    "exit_7": (ends(7), "inference", "it said so; in phase measure. See container.log"),
    "exit_8": (ends(8), "killed", OUTSIDE),
    "exit_99": (ends(99), "runner_crash", "exit code 99"),
    "exit_126": (ends(126), "image_unusable", "the runner cannot be executed"),
    "exit_127": (ends(127), "image_unusable", "the runner cannot be executed"),
    "abort_134": ("report(); os.abort()", "runner_crash", "signal SIGABRT (exit code 134)"),
    "sigkill_137": ("report(); os.kill(os.getpid(), 9)", "killed", "signal SIGKILL (exit code 137)"),
    "segv_139": ("report(); import ctypes; ctypes.string_at(0)", "runner_crash", "signal SIGSEGV (exit code 139)"),
    "memory": ("phase('measure'); hog = bytearray(1 << 30)", "container_oom", "Raise docker.memory_limit"),
    "memory_of_a_child_and_exit_1": (IN_CHILD + ends(1), "container_oom", "Raise docker.memory_limit"),
    "memory_of_a_child_and_a_good_end": (IN_CHILD + GOOD, "completed", ""),
    "disk_said_so": (
        "report(kind='disk', message='/exchange/out/power.csv: No space left on device'); sys.exit(1)",
        "disk",
        "/exchange/out/power.csv: No space left on device",
    ),
    "good_again": (GOOD, "completed", ""),
}


@pytest.fixture(scope="module")
def table(
    engine: Engine, client: Any, actor: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """One study with a run for each line of the table: its folder, and what llem said."""
    parent = tmp_path_factory.mktemp("table")
    execution = {"max_consecutive_failures": 100}
    text = acts(*(act for act, _, _ in TABLE.values()), docker={"memory_limit": "128m"}, execution=execution)
    (parent / "s.yaml").write_text(text)
    done = llem("run", "s.yaml", cwd=parent, env={"DOCKER_HOST": engine.host})
    assert done.returncode == 1, done.stderr
    assert left_of(client, parent) == NOTHING
    return the_study(parent / "results"), done


@pytest.fixture
def _nothing_is_left(client: Any, tmp_path: Path) -> Iterator[None]:
    yield
    assert left_of(client, tmp_path) == NOTHING


pytestmark = pytest.mark.usefixtures("actor", "_nothing_is_left")


@pytest.mark.parametrize("line", TABLE)
def test_claim_6_13_a_run_that_fails_ends_as_its_kind_with_its_message(
    table: tuple[Path, subprocess.CompletedProcess[str]], line: str
) -> None:
    study, done = table
    _, kind, words = TABLE[line]
    found_kind, message = endings(study)[list(TABLE).index(line)]
    assert found_kind == kind, message
    assert words in message
    assert "Traceback" not in message
    assert kind == "completed" or message in done.stderr


def test_claim_6_13_the_study_goes_on_after_every_failure_and_ends_with_exit_1(
    table: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    study, done = table
    assert done.returncode == 1
    assert len(endings(study)) == len(TABLE)
    assert events_of(study)[-1] == "study_completed"
    good = [name for name, (_, kind, _) in TABLE.items() if kind == "completed"]
    assert len(list(study.glob("runs/*/result.json"))) == len(good)


def test_claim_6_13_a_child_killed_for_memory_is_seen_and_is_no_failure_of_a_run_that_ended_well(
    table: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    study, _ = table
    found = state_of(study, 1 + list(TABLE).index("memory_of_a_child_and_a_good_end"))
    assert (found["exit_code"], found["oom_killed"]) == (0, True)


def test_claim_6_13_killed_removed_paused_and_silent_runs_end_as_such_and_the_study_goes_on(
    engine: Engine, client: Any, tmp_path: Path, start_llem: Hosts
) -> None:
    silent = "phase('measure'); time.sleep(600)"
    (tmp_path / "s.yaml").write_text(acts(BUSY, BUSY, BUSY, silent, GOOD, execution={"stall_seconds": 5}))
    host = start_llem("run", "s.yaml", cwd=tmp_path, env={"DOCKER_HOST": engine.host})
    study = the_study(tmp_path / "results")
    for sequence, do in enumerate(("kill", "remove", "pause"), start=1):
        wait_for_phase(study, sequence, "measure")
        container = container_of(client, study, sequence)
        getattr(container, do)(**({"force": True} if do == "remove" else {}))
    output, _ = host.communicate(timeout=180)
    assert host.returncode == 1, output
    assert kinds(study) == ["killed", "killed", "stalled", "stalled", "completed"]
    killed, removed, paused, quiet, _ = (message for _, message in endings(study))
    assert "signal SIGKILL (exit code 137). Find out who ended it" in killed
    assert "its container or process was removed" in removed
    for message in (paused, quiet):
        assert "no sign of life for execution.stall_seconds (5 s)" in message
    assert [state_of(study, sequence)[key] for sequence, key in ((2, "removed"), (3, "paused"))] == [True, True]


def test_claim_6_13_a_run_over_its_time_is_a_timeout(docker_llem: Llem, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(acts(BUSY, execution={"timeout_seconds": 4}))
    done = docker_llem("run", "s.yaml")
    assert done.returncode == 1, done.stderr
    [(kind, message)] = endings(the_study(tmp_path / "results"))
    assert (kind, "execution.timeout_seconds (4 s)" in message) == ("timeout", True)


def test_claim_6_13_failures_in_a_row_end_the_study_with_exit_1_and_the_command_to_go_on(
    docker_llem: Llem, tmp_path: Path
) -> None:
    text = acts(GOOD, ends(7), ends(7), GOOD, execution={"max_consecutive_failures": 2})
    (tmp_path / "s.yaml").write_text(text)
    done = docker_llem("run", "s.yaml")
    assert done.returncode == 1, done.stderr
    study = the_study(tmp_path / "results")
    assert kinds(study) == ["completed", "inference", "inference"]
    assert events_of(study)[-1] == "study_interrupted"
    assert "Stopped: too many runs failed in a row. Go on with:" in done.stderr
    assert f"run --resume {study}" in done.stderr.splitlines()[-1]


def refused(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """What a study that could not begin said: exit 3, and nothing made."""
    assert done.returncode == 3, done.stdout + done.stderr
    assert [path.name for path in folder.iterdir()] == ["s.yaml"]
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("host", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:9"])
def test_claim_6_13_no_engine_is_exit_3_and_nothing_is_made(docker_llem: Llem, tmp_path: Path, host: str) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, runners={"pytorch": "docker"}))
    said = refused(docker_llem("run", "s.yaml", env={"DOCKER_HOST": host}), tmp_path)
    assert f"engine_unreachable: No container engine answers at {host}" in said
    assert "Is the engine running (docker info)?" in said


def test_claim_6_13_a_missing_image_is_exit_3_and_nothing_is_made(docker_llem: Llem, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, images={"pytorch": {"image": "llem-test-nowhere:1", "pull": "never"}}))
    said = refused(docker_llem("run", "s.yaml"), tmp_path)
    assert "image_missing: The engine has no image llem-test-nowhere:1, and pull: never" in said


@pytest.fixture
def empty_image(client: Any) -> Iterator[str]:
    """An image without a single file."""
    client.api.import_image_from_data(b"\0" * 10240, repository="llem-test-empty", tag="1")
    yield "llem-test-empty:1"
    client.images.remove("llem-test-empty:1")


def test_claim_6_13_an_image_without_python_is_exit_3_and_nothing_is_made(
    docker_llem: Llem, tmp_path: Path, empty_image: str
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, images={"pytorch": empty_image}))
    said = refused(docker_llem("run", "s.yaml"), tmp_path)
    assert "image_unusable: " in said
    assert "python3" in said


def test_claim_6_13_an_image_whose_python_lacks_pydantic_is_exit_3_and_nothing_is_made(
    docker_llem: Llem, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, images={"pytorch": BASE_IMAGE}))
    said = refused(docker_llem("run", "s.yaml"), tmp_path)
    assert f"image_unusable: Runs cannot be made from image {BASE_IMAGE}:" in said
    assert "pydantic: not installed" in said


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"network": "llem-test-nonet"}, ("network llem-test-nonet not found", "sets docker.network")),
        ({"network": "container:llem-test-nope"}, ("No such container: llem-test-nope", "sets docker.network")),
        ({"memory_limit": "1m"}, ("Minimum memory limit", "sets docker.memory_limit")),
        ({"memory_limit": "16m"}, ("docker.memory_limit is less memory than a look around takes",)),
    ],
    ids=["no such network", "no such container", "no memory at all", "little memory"],
)
def test_claim_6_13_what_the_study_asks_of_the_engine_in_vain_is_exit_3_with_the_key_that_asks(
    docker_llem: Llem, actor: str, tmp_path: Path, keys: dict[str, str], words: tuple[str, ...]
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, docker=keys))
    said = refused(docker_llem("run", "s.yaml"), tmp_path)
    assert all(word in said for word in words), said
    assert "Check the image" not in said


def test_claim_6_13_a_refused_request_for_gpus_is_exit_3_and_nothing_is_made(
    docker_llem: Llem, tmp_path: Path, engine_gpus: SimulatedGpus
) -> None:
    engine_gpus.refuse("nvidia-container-cli: initialization error: nvml error: driver not loaded")
    (tmp_path / "s.yaml").write_text(acts(GOOD, device="auto"))
    said = refused(docker_llem("run", "s.yaml"), tmp_path)
    assert "gpu_request: " in said
    assert "driver not loaded" in said
    assert "device: cpu" in said


def test_claim_6_13_naming_a_gpu_that_is_not_there_is_exit_3_and_nothing_is_made(
    docker_llem: Llem, tmp_path: Path, engine_gpus: SimulatedGpus
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, device="auto", execution={"gpus": [7]}))
    said = refused(docker_llem("run", "s.yaml"), tmp_path)
    assert "execution.gpus names 7, and no such GPU is there" in said
    assert h100(0).uuid in said


WITH_A_GAP = {"cycle_gap_seconds": 0.01}


class InTheGap(Observer):
    """Does something between two runs."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._do = do

    def gap(self, seconds: float) -> None:
        self._do()


def test_claim_6_13_an_image_removed_under_a_study_fails_its_next_run_as_image_missing(
    engine: Engine, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = built(client, "llem-test-removed:1", f"FROM {ACTOR_IMAGE}\nENV OF_ITS_OWN={os.urandom(8).hex()}")
    (tmp_path / "s.yaml").write_text(acts(GOOD, GOOD, images={"pytorch": image}, execution=WITH_A_GAP))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    end = start_study(load_study(tmp_path / "s.yaml"), InTheGap(lambda: client.images.remove(image, force=True)))
    assert end.exit_code is CliExit.RUN_FAILED
    assert kinds(end.folder) == ["completed", "image_missing"]
    [failure] = end.result.failures
    assert "No such image" in failure.message


def test_claim_6_13_gpus_refused_under_a_study_fail_its_next_run_as_gpu_request(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine_gpus: SimulatedGpus
) -> None:
    (tmp_path / "s.yaml").write_text(acts(GOOD, GOOD, device="auto", execution=WITH_A_GAP))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    broken = "nvidia-container-cli: initialization error: nvml error: driver not loaded"
    end = start_study(load_study(tmp_path / "s.yaml"), InTheGap(lambda: engine_gpus.refuse(broken)))
    assert kinds(end.folder) == ["completed", "gpu_request"]
    assert "driver not loaded" in end.result.failures[0].message


TOO_MUCH = """
phase('measure')
try:
    (OUT / 'ballast').write_bytes(bytes(64 << 20))
except OSError as error:
    (OUT / 'ballast').unlink()
    report(kind='disk', message=f'/exchange/out/ballast cannot be written: {error.strerror}')
    sys.exit(1)
"""
FILLS_UP = """
phase('measure')
if ORDER['attempt'] == 1:
    with (OUT / 'ballast').open('wb', buffering=0) as file:
        while True:
            file.write(bytes(4096))
complete()
"""


def test_claim_6_13_a_run_that_fills_the_disk_and_makes_room_again_fails_as_disk_and_the_study_goes_on(
    engine: Engine, tmp_path: Path
) -> None:
    with shown_disk(engine.daemon, tmp_path / "disk", "16m") as disk:
        (disk / "s.yaml").write_text(acts(GOOD, TOO_MUCH, GOOD))
        done = llem("run", "s.yaml", cwd=disk, env={"DOCKER_HOST": engine.host})
        assert done.returncode == 1, done.stderr
        study = the_study(disk / "results")
        assert kinds(study) == ["completed", "disk", "completed"]
        assert "/exchange/out/ballast cannot be written: No space left on device" in done.stderr


def test_claim_6_13_a_run_that_fills_the_disk_for_good_ends_the_study_in_order_and_it_goes_on_when_there_is_room(
    engine: Engine, client: Any, tmp_path: Path
) -> None:
    with shown_disk(engine.daemon, tmp_path / "disk", "16m") as disk:
        (disk / "s.yaml").write_text(acts(GOOD, FILLS_UP, GOOD))
        done = llem("run", "s.yaml", cwd=disk, env={"DOCKER_HOST": engine.host})
        # The journal may have had room for a line left, in its last block: with none the study is over at once.
        assert done.returncode in (1, 3), done.stderr
        study = the_study(disk / "results")
        assert kinds(study) in (["completed", *["disk"] * number] for number in range(3))
        assert "Make room" in done.stderr
        assert "Traceback" not in done.stderr
        assert left_of(client, tmp_path)["containers"] == []
        [first] = study.glob("runs/0001-*/result.json")
        before = first.read_bytes()
        [ballast] = study.glob("runs/0002-*/out/ballast")
        ballast.unlink()
        done = llem("run", "--resume", study, cwd=disk, env={"DOCKER_HOST": engine.host})
        assert done.returncode == 0, done.stderr
        assert first.read_bytes() == before
        assert len(list(study.glob("runs/*/result.json"))) == 3
