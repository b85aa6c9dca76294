"""`llem config` and `.env` as somebody at a terminal meets them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from llem_process import llem


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where XDG puts the settings."""
    return tmp_path / "home"


def config(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (home.parent / "work").mkdir(exist_ok=True)
    return llem("config", *arguments, cwd=home.parent / "work", env={"XDG_CONFIG_HOME": str(home)})


def test_claim_10_10_set_writes_where_path_says_and_show_tells_it(home: Path) -> None:
    path = Path(config(home, "path").stdout.strip())
    assert path == home / "llem" / "config.yaml"
    assert config(home, "set", "output.folder", "/data").returncode == 0
    assert path.read_text() == "output:\n  folder: /data\n"
    shown = json.loads(config(home, "show", "--json").stdout)
    assert {"key": "output.folder", "value": "/data", "source": "user settings", "variable": None} in shown
    assert "output.folder         /data  [user settings]" in config(home, "show").stdout


def test_claim_10_10_set_through_a_link_keeps_the_link(home: Path, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.yaml"
    kept.write_text("# mine\n")
    (home / "llem").mkdir(parents=True)
    (home / "llem" / "config.yaml").symlink_to(kept)
    assert config(home, "set", "runners.vllm", "docker").returncode == 0
    assert (home / "llem" / "config.yaml").is_symlink()
    assert kept.read_text() == "# mine\nrunners:\n  vllm: docker\n"


def test_claim_10_10_a_wrong_value_is_an_error_of_usage_and_the_file_stays(home: Path) -> None:
    config(home, "set", "runners.vllm", "docker")
    before = (home / "llem" / "config.yaml").read_bytes()
    done = config(home, "set", "runners.vllm", "podman")
    assert done.returncode == 2
    assert "'podman' is none of local, docker, auto" in done.stderr
    assert "Traceback" not in done.stderr
    assert (home / "llem" / "config.yaml").read_bytes() == before


def test_claim_10_10_a_run_reads_the_file_beside_its_study_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "s.yaml").write_text("model: builtin:tiny-llama\n")
    (tmp_path / "there" / ".env").write_text("HF_TOKEN=hf_secret\nLLEM_RUNNER_PYTORCH=podman\n")
    done = llem("run", "there/s.yaml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "LLEM_RUNNER_PYTORCH: 'podman' is none of" in done.stderr
    assert f"Taken from {tmp_path}/there/.env: HF_TOKEN, LLEM_RUNNER_PYTORCH." in done.stderr
    assert "hf_secret" not in done.stderr + done.stdout
    done = llem("run", "there/s.yaml", "--dry-run", cwd=tmp_path, env={"LLEM_RUNNER_PYTORCH": "local"})
    assert done.returncode == 0, done.stderr
