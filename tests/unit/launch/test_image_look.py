"""The look inside an image, made here: by whatever Python there is, with nothing but the standard library."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llem.launch.docker.image_facts import read_image_look
from llem_runner import image_look
from llem_runner.contract.exchange import IN, OUT, PROBE_FILE

RUNNER = Path(image_look.__file__).parent
OLD = ("__init__.py", "__main__.py", "image_look.py")


@pytest.mark.parametrize("name", OLD)
def test_claim_10_5_what_looks_is_read_by_a_python_that_is_far_too_old(name: str) -> None:
    tree = ast.parse((RUNNER / name).read_text(), feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    # Python 3.6 knows no `from __future__ import annotations`.
    assert "__future__" not in imported
    assert {each.partition(".")[0] for each in imported} <= sys.stdlib_module_names | {"llem_runner"}


@pytest.fixture
def exchange(tmp_path: Path) -> Path:
    """An exchange folder with a question in it."""
    for part in (IN, OUT):
        (tmp_path / part).mkdir()
    (tmp_path / IN / PROBE_FILE).write_text("a nonce")
    return tmp_path


def looked(exchange: Path, *paths: Path) -> dict[str, Any]:
    """What the probe writes of an image, with these folders first where Python looks; its runner may not begin."""
    found = os.pathsep.join(map(str, (*paths, RUNNER.parent)))
    command = [sys.executable, "-m", "llem_runner", "probe", str(exchange)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": found}, capture_output=True)
    answer: dict[str, Any] = json.loads((exchange / OUT / image_look.LOOK_FILE).read_text())
    return answer


def test_claim_10_5_what_a_look_writes_here_is_accepted_and_echoes_the_nonce(exchange: Path) -> None:
    answer = looked(exchange)
    facts = read_image_look(answer["look"]).image
    assert answer["nonce"] == "a nonce"
    assert facts.python == ".".join(map(str, sys.version_info[:3]))
    assert facts.pynvml
    assert {"pydantic", "torch", "transformers"} <= facts.packages.keys()


def test_claim_10_5_what_torch_was_built_for_is_read_without_importing_it(exchange: Path) -> None:
    torch = exchange / "site" / "torch"
    torch.mkdir(parents=True)
    (torch / "__init__.py").write_text("raise SystemExit('imported')")
    (torch / "version.py").write_text(
        "from typing import Optional\n__all__ = ['cuda', 'hip']\n"
        "cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n"
    )
    facts = read_image_look(looked(exchange, exchange / "site")["look"]).image
    assert (facts.torch_cuda, facts.torch_rocm) == ("12.8", None)


def test_claim_10_5_a_package_without_metadata_is_found_by_its_own_files(exchange: Path) -> None:
    for name, file, text in (
        ("vllm", "_version.py", "__version__ = version = '0.33.0'\n"),
        ("triton", "__init__.py", "from . import language\n"),
    ):
        package = exchange / "site" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("raise SystemExit('imported')\n")
        (package / file).write_text(text)
    packages = read_image_look(looked(exchange, exchange / "site")["look"]).image.packages
    assert (packages["vllm"], packages["triton"]) == ("0.33.0", "unknown")


def test_claim_10_5_an_image_whose_runner_cannot_begin_is_looked_at_all_the_same(exchange: Path) -> None:
    broken = exchange / "site" / "pydantic"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('too old')")
    assert read_image_look(looked(exchange, exchange / "site")["look"]).image.python
    assert not (exchange / OUT / PROBE_FILE).exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image", None),
        ("unwritable", ["/tmp\x1b[31m"]),
        ("unwritable", "/tmp"),
        ("noexec", ["/x"] * 65),
        ("image.uid", -1),
        ("image.python", "3.12; rm -rf"),
        ("image.packages", {"../torch": "1"}),
        ("image.packages", {"torch": "1\n"}),
        ("image.torch_cuda", 12.8),
        ("image.unreadable", ["p" * 5000]),
        ("image.machine", ""),
    ],
)
def test_claim_10_5_a_look_that_a_stranger_could_have_written_is_refused(path: str, value: Any) -> None:
    record = json.loads(json.dumps(image_look.look()))
    *folders, last = path.split(".")
    inner = record
    for name in folders:
        inner = inner[name]
    inner[last] = value
    with pytest.raises(ValueError, match=r".+") as raised:
        read_image_look(record)
    assert str(raised.value).isprintable()


def test_the_look_and_the_contract_mean_the_same_files() -> None:
    text = (RUNNER / "image_look.py").read_text()
    assert all(f'"{name}"' in text for name in (IN, OUT, PROBE_FILE))
