"""Models and adapters of the study's own: mounted read-only as they lie, or refused before anything has begun."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from acted import acts, endings
from acted_runs import launched, printed, run_folder
from llem_process import TINY

from llem_runner.workload.tiny_llama import make_tiny_llama

Llem = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model, as a plain folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_tiny_llama(folder)
    # transformers writes weights for their owner alone.
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    return folder


def hub_cache(tiny: Path, hub: Path) -> Path:
    """The same model as a snapshot of a hub's cache: links to blobs beside it."""
    root = hub / "models--me--tiny"
    snapshot, blobs = root / "snapshots" / "abc", root / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in tiny.iterdir():
        shutil.copyfile(file, blobs / f"of-{file.name}")
        (snapshot / file.name).symlink_to(f"../../blobs/of-{file.name}")
    for folder in (root, blobs, snapshot.parent, snapshot):
        folder.chmod(0o755)
    return snapshot


LOOK = """
def tried(path):
    try:
        return open(path, 'a').close() or 'written'
    except OSError as error:
        return error.strerror
seen = {
    'allocation': json.loads((EXCHANGE / 'in' / 'allocation.json').read_text()),
    'prompts': (EXCHANGE / 'in' / 'prompts.jsonl').read_text().splitlines(),
    'model': sorted(os.listdir('/model')),
    'adapter': sorted(os.listdir('/adapter')) if os.path.exists('/adapter') else None,
    'write': [tried('/model/new'), tried('/model/config.json'), tried('/adapter/new')],
    'elsewhere': sorted(set(os.listdir('/')) & {'prompts', 'models', 'data.jsonl'}),
}
print(json.dumps(seen))
complete()
"""


def test_claim_6_8_a_model_and_an_adapter_are_mounted_read_only_and_prompts_travel_in_in(
    docker_llem: Llem, actor: str, tiny: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny, tmp_path / "a model, mine")
    (tmp_path / "a model, mine").chmod(0o755)
    (tmp_path / "adapter").mkdir(0o755)
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "asked.txt").write_text("Why?\nHow?\n")
    keys: dict[str, Any] = {"model": "./a model, mine", "dataset": "asked.txt", "dataset_order": "grouped"}
    lora = {"adapter_path": "adapter"}
    (tmp_path / "study.yaml").write_text(acts("complete()", LOOK, **keys, lora=lora))
    done = docker_llem("run", "study.yaml")
    [study] = (tmp_path / "results").iterdir()
    assert endings(study)[1] == ("completed", ""), done.stderr
    seen = json.loads(printed(study, 2))
    assert (seen["allocation"]["model_path"], seen["allocation"]["adapter_path"]) == ("/model", "/adapter")
    assert seen["model"] == sorted(path.name for path in tiny.iterdir())
    assert seen["adapter"] == ["adapter_config.json"]
    assert seen["write"][0] == seen["write"][2] == "Read-only file system"
    assert "written" not in seen["write"]
    assert seen["prompts"] == ['{"text": "Why?"}', '{"text": "How?"}']
    assert launched(study, 2)["model_path"] == str(tmp_path / "a model, mine")


def test_claim_6_8_a_snapshot_of_a_hubs_cache_is_loaded_by_the_real_engine_through_its_links(
    docker_llem: Llem, tiny: Path, tmp_path: Path
) -> None:
    hub_cache(tiny, tmp_path / "hub")
    study_file = TINY.replace("builtin:tiny-llama", "hub/models--me--tiny/snapshots/abc")
    (tmp_path / "study.yaml").write_text(f"{study_file}device: cpu\n")
    done = docker_llem("run", "study.yaml")
    [study] = (tmp_path / "results").iterdir()
    assert (done.returncode, endings(study)) == (0, [("completed", "")]), done.stderr
    allocation = json.loads((run_folder(study) / "in" / "allocation.json").read_text())
    assert allocation["model_path"] == "/model/snapshots/abc"


def _unreadable(folder: Path) -> None:
    (folder / "model.safetensors").chmod(0o600)


def _closed(folder: Path) -> None:
    folder.chmod(0o700)


def _leads_out(folder: Path) -> None:
    shutil.move(folder / "model.safetensors", folder.parent / "kept")
    (folder / "model.safetensors").symlink_to("../kept")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_unreadable, ("model.safetensors may not be read by others", "chmod -R a+rX ")),
        (_closed, ("/mine may not be read by others", "chmod -R a+rX ")),
        (_leads_out, ("model.safetensors is a link that leads out of", "cp -L")),
    ],
    ids=["a file for its owner alone", "a folder for its owner alone", "a link that leads out"],
)
def test_claim_6_8_a_model_that_a_container_could_not_read_is_refused_before_anything_begins(
    docker_llem: Llem, actor: str, tiny: Path, tmp_path: Path, spoil: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    shutil.copytree(tiny, tmp_path / "mine")
    (tmp_path / "mine").chmod(0o755)
    spoil(tmp_path / "mine")
    (tmp_path / "study.yaml").write_text(acts("complete()", model="./mine"))
    done = docker_llem("run", "study.yaml")
    assert done.returncode == 3
    assert all(each in done.stderr for each in words), done.stderr
    assert not [path for path in tmp_path.glob("results/*") if path.is_dir()]
