"""`llem images list` and `llem images pull`, as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docker_engine import Engine
from llem_process import llem
from registry import Registry, docker_config


def test_claim_10_3_what_a_study_needs_is_pulled_beforehand_and_the_list_says_so(
    engine: Engine, public: Registry, repository: str, tmp_path: Path
) -> None:
    digest = public.put(f"{repository}:1", [{"a": b"a"}], config={"Labels": {"org.llem.contract": "7"}})
    name = f"{public.address}/{repository}:1"
    study = {"backend": ["pytorch", "vllm"], "images": {"pytorch": name}, "runners": {"vllm": "local"}}
    (tmp_path / "s.yaml").write_text(json.dumps({"model": "builtin:tiny-llama", **study}))
    env = {"DOCKER_HOST": engine.host, "LLEM_IMAGE_PYTORCH": name, **docker_config(tmp_path / "docker")}

    def listed() -> dict[str, Any]:
        done = llem("images", "list", "--json", cwd=tmp_path, env=env)
        return next(row for row in json.loads(done.stdout) if row["backend"] == "pytorch")

    before = listed()
    assert (before["image"], before["source"], before["there"]) == (name, "environment", False)
    assert "not there: llem images pull pytorch" in llem("images", "list", cwd=tmp_path, env=env).stdout
    done = llem("images", "pull", "--study", "s.yaml", cwd=tmp_path, env=env)
    assert (done.returncode, done.stdout.splitlines()) == (0, [f"{name}  {digest}  0.0 GB"]), done.stderr
    assert done.stderr.splitlines()[-1] == f"Pulled {name}."
    after = listed()
    assert (after["there"], after["digest"], after["contract"]) == (True, digest, "7")
    assert after["architecture"] == "amd64"


def test_claim_10_3_without_an_engine_the_list_says_what_would_be_used_and_pull_is_exit_3(tmp_path: Path) -> None:
    done = llem("images", "list", cwd=tmp_path, env={"LLEM_IMAGE_VLLM": "mine:1"})
    assert done.returncode == 0
    assert "vllm     mine:1  [environment]" in done.stdout
    assert "No container engine answers" in done.stderr
    done = llem("images", "pull", cwd=tmp_path)
    assert done.returncode == 3
    assert "engine_unreachable: No container engine answers" in done.stderr
