"""The command line and the Python API, on real runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from llem_process import LLEM, NO_ENGINE, TINY, environment, llem

import llem as public
from llem.version import __version__


def test_claim_19_version_and_help_import_nothing_heavy(tmp_path: Path) -> None:
    assert llem("--version", cwd=tmp_path).stdout.strip() == f"llem, version {__version__}"
    done = llem("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("run", "plan", "results"):
        assert command in done.stdout
    code = (
        "import sys, llem, llem.cli.app as app\n"
        "try: app._llem.main(['--help'], standalone_mode=False)\n"
        "finally: print(sorted(m for m in ('docker', 'pyarrow', 'torch', 'pydantic', 'scipy', 'yaml', 'rich')"
        " if m in sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.splitlines()[-1] == "[]"


def test_claim_19_a_single_experiment_from_flags_and_its_results_read_back(tmp_path: Path) -> None:
    flags = ("--backend", "pytorch", "--precision", "fp32", "--n", "2", "--max-output-tokens", "4")
    done = llem("run", "--model", "builtin:tiny-llama", *flags, "-q", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    [folder] = (tmp_path / "out").iterdir()
    assert folder.name.startswith("tiny-llama-")
    shown = llem("results", folder, cwd=tmp_path)
    assert shown.returncode == 0
    assert "1 of 1 runs completed" in shown.stdout
    as_json = json.loads(llem("results", folder, "--json", cwd=tmp_path).stdout)
    assert as_json["runs"]["completed"] == 1
    # The window defaults to 10 s: whole passes until then, each with its tokens.
    [result] = [json.loads(path.read_text()) for path in folder.glob("runs/*/result.json")]
    assert result["window"]["duration_s"] >= 10
    assert len(result["passes"]) > 1
    assert sum(one["output_tokens"] for one in result["passes"]) == result["tokens"]["output"]


def test_claim_19_overrides_and_dry_run_start_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(TINY + "sweep: {pytorch.batch_size: [1, 2]}\n")
    overrides = ("--cycles", "3", "--order", "shuffled", "--no-gaps")
    done = llem("run", "s.yaml", *overrides, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "6 = 2 × 3 cycles" in done.stdout
    assert "shuffled" in done.stdout
    assert "nothing started" in done.stdout
    assert not (tmp_path / "results").exists()


def test_claim_6_plan_prints_json_as_designed_and_a_table_without_it(tmp_path: Path) -> None:
    text = TINY + "sweep: {pytorch.batch_size: [1, 2]}\nexecution: {n_cycles: 2, cycle_order: interleaved}\n"
    (tmp_path / "s.yaml").write_text(text)
    plan = json.loads(llem("plan", "s.yaml", "--json", cwd=tmp_path).stdout)
    assert plan.keys() == {"study_design_hash", "experiments", "skipped", "order"}
    first, second = (experiment["experiment_id"] for experiment in plan["experiments"])
    assert plan["order"] == [f"{first}-c1", f"{second}-c1", f"{first}-c2", f"{second}-c2"]
    assert [experiment["pytorch"]["batch_size"] for experiment in plan["experiments"]] == [1, 2]
    table = llem("plan", "s.yaml", cwd=tmp_path).stdout
    for word in (first, second, "pytorch.batch_size", "4 = 2 × 2 cycles"):
        assert word in table


def test_claim_20_the_api_runs_and_returns_typed_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NO_ENGINE.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "s.yaml").write_text(TINY)
    study = public.run_study(public.load_study(tmp_path / "s.yaml"), output=tmp_path / "results")
    assert isinstance(study, public.StudyResult)
    [result] = study.results
    assert isinstance(result, public.ExperimentResult)
    assert result.tokens.output <= 8 * len(result.passes)
    assert study.to_arrow().num_rows == 1
    assert study.to_pandas()["throughput.output_tokens_per_s"][0] == result.throughput.output_tokens_per_s
    [folder] = (tmp_path / "results").iterdir()
    assert public.open_study(folder).results == study.results


def test_claim_20_what_is_stable_is_said_and_there(tmp_path: Path) -> None:
    assert {"run_study", "run_experiment", "load_study", "open_study"} <= set(public.__all__)
    assert all(hasattr(public, name) for name in public.__all__)
    assert "stable" in (public.__doc__ or "")
    with pytest.raises(public.UsageError, match="takes an ExperimentConfig, or experiment keys"):
        public.run_experiment()


def test_claim_20_run_experiment_returns_the_result_or_raises_with_the_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in NO_ENGINE.items():
        monkeypatch.setenv(name, value)
    from llem.api import ExperimentFailed

    with pytest.raises(ExperimentFailed, match="backend: "):
        public.run_experiment(model="builtin:tiny-llama", pytorch={"load_in_4bit": True}, n=1, output=tmp_path)
    with pytest.raises(public.NotReadyError, match="no NVIDIA GPU was found"):
        public.run_experiment(model="builtin:tiny-llama", device="cuda", n=1, output=tmp_path)


def run_in_shell(folder: Path, tail: str) -> subprocess.CompletedProcess[str]:
    (folder / "s.yaml").write_text(TINY)
    command = f"{LLEM} run s.yaml -q -o out {tail}"
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("tail", [">&-", "2>&- </dev/null", ">/dev/full", "| true; exit ${PIPESTATUS[0]}"])
def test_an_output_that_nobody_reads_does_not_change_how_a_study_ends(tmp_path: Path, tail: str) -> None:
    done = run_in_shell(tmp_path, tail)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert len(list(tmp_path.glob("out/*/study_result.json"))) == 1


def test_claim_20_a_ctrl_c_that_ended_a_study_is_one_for_the_program_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import llem.api
    from llem.execution.start import StudyEnd

    stopped = public.StudyResult.model_validate(
        {"study_name": "s", "study_design_hash": "0", "started_unix_s": 1, "simulated": False, "runs": {"total": 1}}
    )
    monkeypatch.setattr(llem.api, "start_study", lambda *_: StudyEnd(stopped, tmp_path, "interrupted"))
    (tmp_path / "s.yaml").write_text(TINY)
    with pytest.raises(KeyboardInterrupt, match="go on with run_study"):
        public.run_study(tmp_path / "s.yaml")
