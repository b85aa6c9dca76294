"""GPUs in containers: those that a study may use and no others, never two runs on one, and never the CPU in silence."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acted import NOTHING, acts, endings, left_of
from acted_runs import UNTIL_TOLD, launched, printed, run_folder, tell
from actor_image import actor_files, built
from docker_engine import BASE_IMAGE, PYTORCH_IMAGE, Engine, SimulatedGpus
from llem_process import Hosts, events_of, the_study, wait_until
from other_engine import another_daemon
from simulated_nvml import Settings, h100
from simulated_nvml.fixtures import SimulatedNvml

Llem = Callable[..., subprocess.CompletedProcess[str]]

FIRST, SECOND = h100(0).uuid, h100(1).uuid
STAGE = "org.llem.test=stage-of-actor-alone"
LOOK = """
sys.path.insert(0, "/opt/llem")
import pynvml
pynvml.nvmlInit()
boards = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
print(json.dumps([pynvml.nvmlDeviceGetUUID(board) for board in boards] + [os.environ["CUDA_VISIBLE_DEVICES"]]))
complete()
"""


@pytest.mark.parametrize(
    ("execution", "board"),
    [({}, FIRST), ({"gpus": [1]}, SECOND), ({"gpus": [SECOND.lower(), 0]}, SECOND)],
    ids=["any", "by index", "by UUID"],
)
def test_claim_6_5_a_run_of_one_gpu_gets_that_one_by_uuid_and_sees_no_other(
    docker_llem: Llem, engine_gpus: SimulatedGpus, actor: str, tmp_path: Path, execution: dict[str, Any], board: str
) -> None:
    (tmp_path / "study.yaml").write_text(acts(LOOK, device="cuda", execution=execution))
    done = docker_llem("run", "study.yaml")
    [study] = (tmp_path / "results").iterdir()
    assert done.returncode == 0, done.stderr
    assert json.loads(printed(study)) == [board, board]
    launch = launched(study)
    assert (launch["gpu_driver"], launch["place"]["gpu_uuids"]) == ("nvidia", [board])
    allocation = json.loads((run_folder(study) / "in" / "allocation.json").read_text())
    assert allocation["gpu_uuids"] == [board]
    assert f"{len(execution.get('gpus', 'ab'))} × NVIDIA H100" in done.stderr


def test_claim_6_5_a_gpu_that_is_not_there_ends_it_before_it_begins_and_those_that_are_there_are_named(
    docker_llem: Llem, engine_gpus: SimulatedGpus, client: Any, actor: str, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(acts(LOOK, device="cuda", execution={"gpus": [7]}))
    done = docker_llem("run", "study.yaml")
    assert done.returncode == 3
    assert "execution.gpus names 7, and no such GPU is there" in done.stderr
    assert FIRST in done.stderr
    assert SECOND in done.stderr
    assert not list(tmp_path.glob("results/*/"))
    assert left_of(client, tmp_path) == NOTHING


def test_claim_6_5_a_gpu_is_never_shared_by_two_studies_the_second_waits_and_says_so(
    engine: Engine, engine_gpus: SimulatedGpus, actor: str, start_llem: Hosts, tmp_path: Path
) -> None:
    def started(name: str, act: str) -> tuple[Path, Any]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.yaml").write_text(acts(act, device="cuda", execution={"gpus": [0]}))
        host = start_llem("run", "study.yaml", cwd=tmp_path / name, env={"DOCKER_HOST": engine.host})
        return the_study(tmp_path / name / "results"), host

    first, its_host = started("first", f"{UNTIL_TOLD}complete()")
    wait_until("the first run", lambda: list(first.glob("runs/*/launch.json")))
    second, waiting = started("second", "complete()")
    assert any(f"GPU {FIRST} is in use by another llem run; waiting for it." in line for line in waiting.stdout)
    assert events_of(second) == ["study_started"]
    tell(first)
    assert [host.wait() for host in (its_host, waiting)] == [0, 0]
    one, other = (launched(study)["container"] for study in (first, second))
    assert one["finished"] <= other["started"]


def test_claim_6_5_an_engine_that_refuses_gpus_ends_it_with_words_and_nothing_runs_on_the_cpu_unasked(
    docker_llem: Llem, engine_gpus: SimulatedGpus, client: Any, actor: str, tmp_path: Path
) -> None:
    engine_gpus.refuse("nvidia-container-cli: initialization error: nvml error: driver not loaded")
    (tmp_path / "study.yaml").write_text(acts("complete()", device="auto"))
    done = docker_llem("run", "study.yaml")
    assert done.returncode == 3
    for words in ("gpu_request", "nvml error: driver not loaded", "nvidia-smi", "container toolkit", "device: cpu"):
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()
    assert left_of(client, tmp_path) == NOTHING
    # Who asks for the CPU gets it, whatever the driver says.
    (tmp_path / "study.yaml").write_text(acts("complete()", device="cpu"))
    assert docker_llem("run", "study.yaml").returncode == 0


@pytest.fixture(scope="module")
def engine_without_gpus(engine: Engine, client: Any) -> Iterator[dict[str, str]]:
    """What the environment says of a second engine that knows nothing of GPUs, with an actor image without PyTorch.

    It has PyTorch's metadata: what looks into images before a study goes by these, and nothing else looks for it.
    """
    dockerfile = f"""
        FROM {PYTORCH_IMAGE} AS engine
        LABEL {STAGE}
        RUN mkdir /needed && cd /opt/engine/lib/python3*/site-packages && cp -r pydantic pydantic_core annotated_types \
            typing_inspection typing_extensions.py torch-*.dist-info transformers-*.dist-info /needed
        FROM {BASE_IMAGE}
        COPY --from=engine /needed /usr/lib/python3/dist-packages
        COPY python3 /usr/local/bin/python3
        COPY play.py result.json /usr/local/lib/actor/
        RUN mkdir -p /opt/engine/bin && ln -s /usr/bin/python3 /opt/engine/bin/python3
    """
    tag = built(client, "llem-test-actor-alone:latest", dockerfile, actor_files())
    try:
        with another_daemon(engine) as daemon:
            import docker

            second = docker.DockerClient(base_url=daemon.host, timeout=300)
            second.images.load(client.images.get(tag).save(named=True))
            second.close()
            yield {"DOCKER_HOST": daemon.host, "IMAGE": tag}
    finally:
        client.images.remove(tag, force=True)
        client.images.prune(filters={"dangling": True, "label": STAGE})


def test_claim_6_5_a_study_on_a_machine_without_gpus_runs_its_containers_on_the_cpu_and_says_so(
    docker_llem: Llem, engine_without_gpus: dict[str, str], simulated_nvml: SimulatedNvml, tmp_path: Path
) -> None:
    simulated_nvml.write(Settings(boards=(h100(0),)))
    study_file = tmp_path / "study.yaml"
    image = {"pytorch": engine_without_gpus["IMAGE"]}
    study_file.write_text(acts("complete()", device="auto", images=image))
    done = docker_llem("run", "study.yaml", env=engine_without_gpus)
    [study] = (tmp_path / "results").iterdir()
    assert (done.returncode, endings(study)) == (0, [("completed", "")]), done.stderr
    assert "on the CPU: no NVIDIA GPU was found" in done.stderr
    assert (launched(study)["gpu_driver"], launched(study)["place"]["gpu_uuids"]) == (None, [])

    unknown = "could not select device driver"
    of_this_host: dict[str, str] = {**engine_without_gpus, **simulated_nvml.env}
    for keys, env, words in (
        ({"device": "cuda"}, engine_without_gpus, "no NVIDIA GPU was found"),
        ({"device": "auto", "docker": {"gpu_driver": "nvidia"}}, engine_without_gpus, unknown),
        ({"device": "auto", "docker": {"gpu_driver": "cdi"}}, engine_without_gpus, unknown),
        # The machine has GPUs, and the engine does not know of them: that is no reason for the CPU.
        ({"device": "auto"}, of_this_host, unknown),
    ):
        study_file.write_text(acts("complete()", images=image, **keys))
        done = docker_llem("run", "study.yaml", env=env)
        assert (done.returncode, words in done.stderr) == (3, True), done.stderr
    assert list((tmp_path / "results").glob("*/")) == [study]
