"""Studies whose image is in a registry: pulled before the first run, named by its digest in each result, and kept."""

from __future__ import annotations

import json
import secrets
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, acts, kinds
from acted_runs import run_folder
from actor_image import actor_files, built
from docker_engine import BASE_IMAGE, Engine
from llem_process import journal, llem, the_study
from registry import Registry, docker_config, registry

NEEDED = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions.py", "typing_inspection")
FIRST_FAILS = "phase('measure'); complete() if ORDER['attempt'] > 1 else sys.exit(7)"


def packages() -> dict[str, bytes]:
    """What the probe needs of this Python's packages, which is of the version of the image's."""
    folder = Path(sysconfig.get_paths()["purelib"])
    files = [path for name in NEEDED for path in [folder / name, *(folder / name).rglob("*")] if path.is_file()]
    kept = [path for path in files if "__pycache__" not in path.parts]
    return {f"packages/{path.relative_to(folder)}": path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def shelf(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry."""
    with registry(tmp_path_factory.mktemp("shelf") / "data", engine.programs) as made:
        yield made


@pytest.fixture
def published(client: Any, shelf: Registry) -> Iterator[str]:
    """An actor (actor_image.py) in the registry, and not on the engine: its name there."""
    repository = f"{shelf.address}/llem-test/{secrets.token_hex(4)}"
    dockerfile = f"""
        FROM {BASE_IMAGE}
        COPY python3 /usr/local/bin/python3
        COPY play.py result.json /usr/local/lib/actor/
        COPY packages /usr/local/lib/actor/packages
        RUN mkdir -p /opt/engine/bin && ln -s /usr/bin/python3 /opt/engine/bin/python3
        ENV PATH=/usr/local/bin:/usr/bin:/bin PYTHONPATH=/usr/local/lib/actor/packages
    """
    try:
        for tag in ("old", "new"):
            labelled = f"{dockerfile}\nLABEL made={tag}"
            built(client, f"{repository}:{tag}", labelled, {**actor_files(), **packages()})
            client.images.push(f"{repository}:{tag}")
        yield repository
    finally:
        forget(client, repository)


def forget(client: Any, repository: str) -> None:
    """Take all of a repository from the engine."""
    for image in client.images.list():
        if any(repository in each for each in [*image.tags, *(image.attrs.get("RepoDigests") or [])]):
            client.images.remove(image.id, force=True)


def move(client: Any, repository: str, tag: str) -> str:
    """Let the tag `1` mean what `tag` does, in the registry alone; the digest."""
    client.images.pull(repository, tag)
    client.images.get(f"{repository}:{tag}").tag(f"{repository}:1")
    client.images.push(f"{repository}:1")
    forget(client, repository)
    return str(client.api.inspect_distribution(f"{repository}:1")["Descriptor"]["digest"])


def test_claim_10_3_an_image_is_pulled_before_the_first_run_and_a_resume_pulls_the_same_one_again(
    engine: Engine, client: Any, published: str, tmp_path: Path
) -> None:
    name = f"{published}:1"
    digest = move(client, published, "old")
    (tmp_path / "s.yaml").write_text(acts(GOOD, FIRST_FAILS, images={"pytorch": name}))
    env = {"DOCKER_HOST": engine.host, **docker_config(tmp_path / "docker")}
    first = llem("run", "s.yaml", cwd=tmp_path, env=env)
    study = the_study(tmp_path / "results")
    assert (first.returncode, kinds(study)) == (1, ["completed", "inference"]), first.stderr
    assert f"Pulled {name}." in first.stderr
    assert first.stderr.index(f"Pulled {name}.") < first.stderr.index("Study folder:")
    assert journal(study)[0]["where"]["pytorch"]["digest"] == digest

    assert move(client, published, "new") != digest
    again = llem("run", "--resume", study, cwd=tmp_path, env=env)
    assert again.returncode == 0, again.stderr
    assert f"Pulled {published}@{digest}." in again.stderr
    for sequence in (1, 2):
        result = json.loads((run_folder(study, sequence) / "result.json").read_text())
        assert result["image"] == {"name": name, "digest": digest}
