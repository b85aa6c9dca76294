"""Nothing private is in a result: a whole study of somebody with a name, a home, secrets and a model of their own."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

from llem_process import TINY, llem
from simulated_nvml.fixtures import SimulatedNvml

from llem_runner.workload.tiny_llama import make_tiny_llama

SECRETS = {"USER": "annamaria", "LOGNAME": "annamaria", "HOSTNAME": "annas-desk", "HF_TOKEN": "hf_qwertyuiop"}


def test_claim_8_10_a_result_has_the_studys_commit_and_no_name_host_variable_or_folder(
    tmp_path: Path, simulated_nvml: SimulatedNvml
) -> None:
    home = tmp_path / "home-of-annamaria"
    study = home / "studies"
    study.mkdir(parents=True)
    make_tiny_llama(study / "model")
    (study / "s.yaml").write_text(TINY.replace("builtin:tiny-llama", "./model"))
    environment = {**simulated_nvml.env, **SECRETS, "HOME": str(home)}
    for command in (
        ["init", "-q"],
        ["add", "s.yaml"],
        ["-c", "user.name=Anna", "-c", "user.email=anna@maria", "commit", "-qm", "m"],
    ):
        subprocess.run(["git", *command], cwd=study, env={**environment, "PATH": "/usr/bin:/bin"}, check=True)
    done = llem("run", "s.yaml", cwd=study, env=environment)
    assert done.returncode == 0, done.stderr
    [path] = study.glob("results/*/runs/*/result.json")
    text = path.read_text()
    result = json.loads(text)

    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=study, capture_output=True, text=True, check=True)
    assert result["environment"]["study"]["git"] == {"commit": commit.stdout.strip(), "dirty": False}
    assert result["environment"]["gpus"]
    assert [file["name"] for file in result["environment"]["model"]["files"]] == sorted(
        file.name for file in (study / "model").iterdir()
    )
    secrets = [*SECRETS.values(), "anna", str(tmp_path), str(Path.home()), str(simulated_nvml.config)]
    folder = path.parents[2]
    for written in (text, (folder / "study_result.json").read_text()):
        assert [word for word in secrets if word.lower() in written.lower()] == []
        assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", written)
        assert [name for name in (*SECRETS, "LD_LIBRARY_PATH", "PYTHONPATH") if name in written] == []
        # A value that begins like a folder of this machine.
        assert re.findall(r'"/[a-z]', written) == []
