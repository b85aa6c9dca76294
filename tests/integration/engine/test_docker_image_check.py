"""`llem images verify` and runs, on images that somebody else made: what is missing in them is told, all of it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import image_variants as variants
import pytest
from docker_engine import PYTORCH_IMAGE
from image_variants import foreign, old_pydantic, pypy, variant
from llem_process import TINY

Llem = Callable[..., subprocess.CompletedProcess[str]]
Report = dict[str, Any]


@pytest.fixture
def verify(docker_llem: Llem, tmp_path: Path) -> Callable[..., tuple[int, list[Report]]]:
    """`llem images verify … --json` with a cache of the test's own: its exit code and what it says."""

    def run(*arguments: str) -> tuple[int, list[Report]]:
        done = docker_llem("images", "verify", *arguments, "--json", env={"XDG_CACHE_HOME": str(tmp_path / "cache")})
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def missing(report: Report) -> dict[str, str]:
    """Message and remedy of what is missing, by subject."""
    return {
        each["subject"]: f"{each['message']} → {each['remedy']}"
        for each in report["findings"]
        if each["level"] == "missing"
    }


@pytest.mark.parametrize(
    ("name", "dockerfile", "subject", "words"),
    [
        ("no-pydantic", variants.NO_PYDANTIC, "pydantic", ["not installed", "pip install 'pydantic>=2.8'"]),
        ("roots-packages", variants.ROOTS_PACKAGES, "permissions", ["user 65532", "chmod -R a+rX", "/pydantic"]),
        ("roots-python", variants.ROOTS_PYTHON, "python3", ["not root may not execute it", "outside of /root"]),
        ("other-name", variants.OTHER_NAME, "python3", ["none on its PATH (/usr/local/sbin:", "ln -s"]),
    ],
)
def test_claim_10_5_what_a_stock_image_lacks_is_told_with_its_remedy(
    verify: Callable[..., Any], client: Any, name: str, dockerfile: str, subject: str, words: list[str]
) -> None:
    with variant(client, name, dockerfile) as tag:
        code, [report] = verify(tag)
    told = missing(report)
    assert (code, report["ok"], report["image"]) == (3, False, tag)
    assert all(word in told[subject] for word in words), told


def test_claim_10_5_an_old_pydantic_is_told_by_its_version(
    verify: Callable[..., Any], client: Any, tmp_path: Path
) -> None:
    with variant(client, "old-pydantic", variants.OLD_PYDANTIC, old_pydantic(tmp_path)) as tag:
        code, [report] = verify(tag)
    assert code == 3
    assert list(missing(report)) == ["pydantic"]
    assert missing(report)["pydantic"].startswith("1.10.26 is too old: 2.8 or newer is needed")


def test_claim_10_5_another_python_that_is_too_old_answers_with_its_own_version(
    verify: Callable[..., Any], client: Any, tmp_path: Path
) -> None:
    with variant(client, "pypy", variants.PYPY, pypy(tmp_path)) as tag:
        code, [report] = verify(tag)
    told = missing(report)["python"]
    assert code == 3
    assert report["facts"]["implementation"] == "pypy"
    assert "python3 is 3.9." in told
    assert "3.10 or newer is needed" in told
    # The base's own Python is there under its name.
    assert "ln -sf /usr/bin/python3.11" in told


def test_claim_10_5_an_image_for_another_kind_of_machine_is_told_in_words(
    verify: Callable[..., Any], client: Any
) -> None:
    with foreign(client) as tag:
        code, [report] = verify(tag)
    assert code == 3
    assert list(missing(report)) == ["architecture"]
    assert re.search("it is made for a..64, and this machine .* cannot execute", missing(report)["architecture"])
    assert "docker pull --platform linux/" in missing(report)["architecture"]


def test_claim_10_5_an_image_with_an_entrypoint_of_its_own_will_do_and_is_looked_at_once(
    verify: Callable[..., Any], client: Any, tmp_path: Path
) -> None:
    with variant(client, "entrypoint", variants.ENTRYPOINT) as tag:
        code, [first] = verify(tag)
        (kept,) = (tmp_path / "cache" / "llem" / "images").iterdir()
        code_again, [again] = verify(tag, PYTORCH_IMAGE)[0], verify(tag)[1]
        kept.write_bytes(kept.read_bytes()[:100])
        torn = verify(tag)[1][0]
    assert (code, first["cached"], first["backends"]) == (0, False, ["pytorch"])
    assert kept.stem == client_id(first)
    assert (code_again, again["cached"], torn["cached"]) == (0, True, False)
    assert first["facts"] == again["facts"] == torn["facts"]
    assert not list(tmp_path.glob("results"))


def client_id(report: Report) -> str:
    """Of an image that no registry knows the digest is its id."""
    return str(report["digest"]).removeprefix("sha256:")


def test_claim_10_5_a_study_on_an_image_that_lacks_several_things_ends_before_its_first_run_naming_all(
    docker_llem: Llem, client: Any, tmp_path: Path
) -> None:
    dockerfile = f"{variants.NO_PYDANTIC_AND_ROOTS_TORCH}\n{variants.OLD_TRANSFORMERS.partition(chr(10))[2]}"
    with variant(client, "several", dockerfile) as tag:
        (tmp_path / "study.yaml").write_text(f"{TINY}device: cpu\nimages: {{pytorch: {tag}}}\n")
        done = docker_llem("run", "study.yaml")
        checked = docker_llem("images", "verify", "--study", "study.yaml")
    assert (done.returncode, checked.returncode) == (3, 3)
    assert "pip install 'pydantic>=2.8'" in done.stderr
    assert "pip install 'transformers>=" in done.stderr
    assert "RUN chmod -R a+rX /opt/engine/lib/python3.11/site-packages/torch" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()
    assert f"{tag} for pytorch: missing something" in checked.stdout


def test_claim_10_5_a_study_on_an_engine_that_is_too_old_is_refused_with_what_needs_a_newer_one(
    docker_llem: Llem, client: Any, tmp_path: Path
) -> None:
    with variant(client, "old-engine", variants.OLD_TRANSFORMERS) as tag:
        (tmp_path / "study.yaml").write_text(f"{TINY}device: cpu\nimages: {{pytorch: {tag}}}\n")
        done = docker_llem("run", "study.yaml")
        checked = docker_llem("images", "verify", "--study", "study.yaml")
    assert (done.returncode, checked.returncode) == (3, 3)
    for said in (done.stderr, checked.stdout):
        assert "4.40.1 is too old: 4.56 or newer is needed for precision" in said
    assert not (tmp_path / "results").exists()
