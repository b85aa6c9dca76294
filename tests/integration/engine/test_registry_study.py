"""Studies whose image is in a registry: pulled before the first run, named by its digest in each result, and kept."""

from __future__ import annotations

import io
import json
import re
import secrets
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from acted import GOOD, acts, kinds
from acted_runs import run_folder
from actor_image import actor_files
from docker_engine import BASE_IMAGE, Engine
from llem_process import journal, llem, the_study
from registry import Registry, docker_config, forget, registry

NEEDED = ("pydantic*", "annotated_types*", "typing_extensions*", "typing_inspection*")
PACKAGES = "usr/local/lib/actor/packages"
PYTHON = re.compile(
    r"\./(bin|lib|lib64|usr|usr/bin|usr/lib|usr/lib64(/.*)?|usr/bin/(sh|dash|python3.*)|usr/lib/[^/]*-linux-gnu"
    r"|usr/lib/[^/]*-linux-gnu/[^/]*\.so[^/]*|usr/lib/python3.*)"
)
FIRST_FAILS = "phase('measure'); complete() if ORDER['attempt'] > 1 else sys.exit(7)"


def packages() -> dict[str, bytes]:
    """What a look inside wants of this Python's packages, which is of the image's version; the engine by name only."""
    folder = Path(sysconfig.get_paths()["purelib"])
    files = [path for name in NEEDED for top in folder.glob(name) for path in [top, *top.rglob("*")] if path.is_file()]
    kept = [path for path in files if "__pycache__" not in path.parts]
    named = {f"{name}-{version(name)}.dist-info/METADATA": _metadata(name) for name in ("torch", "transformers")}
    found = {str(path.relative_to(folder)): path.read_bytes() for path in kept} | named
    return {f"{PACKAGES}/{name}": content for name, content in found.items()}


def _metadata(name: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version(name)}\n".encode()


@pytest.fixture(scope="module")
def shelf(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry."""
    with registry(tmp_path_factory.mktemp("shelf") / "data", engine.programs) as made:
        yield made


@pytest.fixture(scope="module")
def base(client: Any) -> bytes:
    """Python and its libraries of the base image, as a tar: without compilers, which a pull would take long for."""
    kept = io.BytesIO()
    with tempfile.TemporaryFile() as saved, tarfile.open(fileobj=kept, mode="w") as small:
        for piece in client.images.get(BASE_IMAGE).save():
            saved.write(piece)
        saved.seek(0)
        with tarfile.open(fileobj=saved) as image:
            [layer] = [member for member in image if member.name.endswith("layer.tar")]
            with tarfile.open(fileobj=image.extractfile(layer)) as archive:
                for member in archive:
                    if PYTHON.fullmatch(member.name) and member.size < 8_000_000:
                        small.addfile(member, archive.extractfile(member) if member.isreg() else None)
    return kept.getvalue()


def put_actor(shelf: Registry, name: str, base: bytes) -> str:
    """Store an actor (actor_image.py) that the engine does not have, another one each time; its digest."""
    own = actor_files()
    files = {
        "usr/local/bin/python3": own["python3"].encode(),
        "opt/engine/bin/python3": b'#!/bin/sh\nexec /usr/bin/python3 "$@"\n',
        **{f"usr/local/lib/actor/{each}": own[each].encode() for each in ("play.py", "result.json")},
        **packages(),
        "which": secrets.token_bytes(4),
    }
    variables = ["PATH=/usr/local/bin:/usr/bin:/bin", f"PYTHONPATH=/{PACKAGES}"]
    return shelf.put(name, [base, files], level=0, config={"Env": variables})


def test_claim_10_3_an_image_is_pulled_before_the_first_run_and_a_resume_pulls_the_same_one_again(
    engine: Engine, client: Any, shelf: Registry, base: bytes, repository: str, tmp_path: Path
) -> None:
    name = f"{shelf.address}/{repository}:1"
    digest = put_actor(shelf, f"{repository}:1", base)
    (tmp_path / "s.yaml").write_text(acts(GOOD, FIRST_FAILS, images={"pytorch": name}))
    env = {"DOCKER_HOST": engine.host, **docker_config(tmp_path / "docker")}
    first = llem("run", "s.yaml", cwd=tmp_path, env=env)
    assert first.returncode == 1, first.stderr
    study = the_study(tmp_path / "results")
    assert kinds(study) == ["completed", "inference"]
    assert f"Pulled {name}." in first.stderr
    assert first.stderr.index(f"Pulled {name}.") < first.stderr.index("Study folder:")
    assert journal(study)[0]["where"]["pytorch"]["digest"] == digest

    assert put_actor(shelf, f"{repository}:1", base) != digest
    forget(client, repository)
    again = llem("run", "--resume", study, cwd=tmp_path, env=env)
    assert again.returncode == 0, again.stderr
    assert f"Pulled {shelf.address}/{repository}@{digest}." in again.stderr
    for sequence in (1, 2):
        result = json.loads((run_folder(study, sequence) / "result.json").read_text())
        assert result["image"] == {"name": name, "digest": digest}
