"""Images that llem did not build: with no llem in them, with another one, with peculiar settings. Ours is what runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from acted import endings, left_of
from acted_runs import launched, printed, run_folder
from actor_image import built
from docker_engine import PYTORCH_IMAGE
from llem_process import TINY

from llem_runner.contract import CONTRACT_VERSION

Llem = Callable[..., subprocess.CompletedProcess[str]]

WITHOUT_LLEM = f"""
    FROM {PYTORCH_IMAGE}
    RUN rm -rf /opt/llem
    ENV PYTHONPATH=
"""
# Its own llem is of another contract, its pydantic is found by its own PYTHONPATH alone, a bait lies in its working
# folder, and whatever an image can declare of its start is declared.
OF_ITS_OWN = f"""
    FROM {PYTORCH_IMAGE}
    RUN sed -i 's/^CONTRACT_VERSION = .*/CONTRACT_VERSION = 999/' /opt/llem/llem_runner/contract/exchange.py \
        && mkdir /opt/needed /elsewhere && mv /opt/engine/lib/python3*/site-packages/pydantic /opt/needed \
        && echo 'raise SystemExit("bait")' > /elsewhere/llem_runner.py \
        && mkdir -p /home/llem && chmod 700 /home/llem
    ENV PYTHONPATH=/opt/llem:/opt/needed HOME=/nowhere CUDA_VISIBLE_DEVICES=7 NVIDIA_VISIBLE_DEVICES=all
    ENTRYPOINT ["/bin/false"]
    CMD ["never"]
    HEALTHCHECK --interval=1s CMD ["/bin/false"]
    STOPSIGNAL SIGQUIT
    VOLUME ["/data", "/tmp/", "/exchange/in", "/exchange", "/cache"]
    USER nobody
    WORKDIR /elsewhere
"""
SAY_VERSION = "from llem_runner.contract import CONTRACT_VERSION as version; print(version)"


@contextmanager
def image(client: Any, name: str, dockerfile: str) -> Iterator[str]:
    """An image for one test."""
    tag = built(client, f"llem-test-{name}:latest", dockerfile)
    try:
        yield tag
    finally:
        client.images.remove(tag, force=True)


def says(client: Any, tag: str) -> str:
    """What an image's own Python says of its own llem."""
    options: dict[str, Any] = {"entrypoint": ["python3", "-c", SAY_VERSION], "network_mode": "none", "user": "root"}
    container = client.containers.create(tag, working_dir="/", stop_signal="SIGKILL", **options)
    try:
        container.start()
        container.wait()
        return str(container.logs().decode().splitlines()[-1])
    finally:
        container.remove(force=True, v=True)


@pytest.mark.parametrize(
    ("name", "dockerfile", "own"),
    [
        ("without-llem", WITHOUT_LLEM, "ModuleNotFoundError: No module named 'llem_runner'"),
        ("of-its-own", OF_ITS_OWN, "999"),
    ],
    ids=["no llem in it", "another contract, and a start of its own"],
)
def test_claim_6_6_an_image_that_llem_did_not_build_completes_a_real_run_with_our_runner(
    docker_llem: Llem, client: Any, tmp_path: Path, name: str, dockerfile: str, own: str
) -> None:
    with image(client, name, dockerfile) as tag:
        assert says(client, tag) == own
        (tmp_path / "study.yaml").write_text(f"{TINY}device: cpu\nimages: {{pytorch: {tag}}}\n")
        volumes = {volume.name for volume in client.volumes.list()}
        done = docker_llem("run", "study.yaml")
        [study] = (tmp_path / "results").iterdir()
        assert (done.returncode, endings(study)) == (0, [("completed", "")]), done.stderr
        result = json.loads((run_folder(study) / "result.json").read_text())
        assert (result["contract_version"], result["simulated"]) == (CONTRACT_VERSION, False)
        assert result["image"] == {"name": tag, "digest": client.images.get(tag).id}
        assert launched(study)["container"]["user"] == "65532:65532"
        assert "bait" not in printed(study)
        assert {volume.name for volume in client.volumes.list()} <= volumes
        assert left_of(client, tmp_path)["containers"] == []
