"""Claim 8 of issue 5: what `llem plan` prints for people. Claim 5: nothing that a file holds moves the terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from llem_process import llem

from llem.cli.app import main

STUDY = """
name: kitchen
model: builtin:tiny-llama
sweep:
  n: [5, 6, 5]
  pytorch.torch_compile_mode: [null, default]
execution: {n_cycles: 3, cycle_order: reverse, experiment_gap_seconds: 10, cycle_gap_seconds: 30}
"""

HOSTILE = r"""
name: "ki\e[31mtchen\nsink"
model: builtin:tiny-llama
decoder: {temperature: 0.5}
sweep:
  "passthrough_kwargs.\e[1m": ["a\e]0;title\a\nb", "\x9b2J", "\u202eabc"]
  g: [{n: 5}, {n: 5}, {pytorch.torch_compile_backend: "x\e[2J\ny"}]
"""


def said(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str, int]:
    monkeypatch.setattr(sys, "argv", ["llem", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return out, err, int(ended.value.code or 0)


def test_claim_5_8_the_plan_for_people_tells_what_will_happen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    out, err, code = said(["plan", "s.yaml"], capsys, monkeypatch)
    ids = [each["experiment_id"] for each in json.loads(said(["plan", "s.yaml", "--json"], capsys, monkeypatch)[0])["experiments"]]  # fmt: skip # noqa: E501
    lines = [line.rstrip() for line in out.splitlines()]
    assert code == 0
    assert lines[0].startswith("Study kitchen (")
    assert lines[1:] == [
        "  experiments   6 declared, 3 skipped, 1 merged, 2 to run",
        "  runs          6 = 2 × 3 cycles",
        "  order         reverse, pauses of 90 s in all",
        "experiment    n  pytorch.torch_compile_mode",
        f"{ids[0]}  5  –",
        f"{ids[1]}  6  –",
        "  skipped       3 × compile_mode_without_compile: torch_compile_mode default needs torch_compile: true"
        " (the first: n: 5, pytorch.torch_compile_mode: default)",
    ]
    assert err.splitlines() == [
        f"s.yaml:5:13 (sweep.n[2]) is the same experiment as s.yaml:5:7 (sweep.n[0]): {ids[0]} is measured once"
    ]


@pytest.mark.parametrize("arguments", [["plan"], ["plan", "--json"], ["run", "--dry-run"]])
def test_claim_5_5_nothing_from_a_file_reaches_the_terminal_raw(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s\n\x1b[1m.yaml").write_text(HOSTILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    out, err, code = said([*arguments, "s\n\x1b[1m.yaml"], capsys, monkeypatch)
    assert code == 0, err
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert "is the same experiment as s\\n\\x1b[1m.yaml:7:7" in err
    if "--json" in arguments:
        listed = json.loads(out)["experiments"]
        assert listed[1]["passthrough_kwargs"] == {"\x1b[1m": "\x9b2J"}
    else:
        assert "Study ki\\x1b[31mtchen\\nsink (" in out
        assert "torch_compile_backend x\\x1b[2J\\ny needs" in out


def test_claim_5_5_an_error_keeps_its_lines_and_nothing_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s.yaml").write_text('model: "a\\e[31mb"\nn: 0\nprecision: "x\\ny"\n')
    monkeypatch.chdir(tmp_path)
    out, err, code = said(["plan", "s.yaml"], capsys, monkeypatch)
    assert (out, code) == ("", 2)
    assert [line.split(": ")[0] for line in err.removeprefix("Error: ").splitlines()] == ["s.yaml:2:4", "s.yaml:3:12"]


def test_claim_5_5_a_terminal_that_knows_ascii_only_gets_question_marks_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(STUDY)
    done = llem("plan", "s.yaml", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "  5  ?" in done.stdout
    assert "Traceback" not in done.stderr


def test_claim_5_8_ten_million_runs_are_planned_without_writing_them_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s.yaml").write_text(
        "model: x\nexecution: {n_cycles: 10000000, experiment_gap_seconds: 1, cycle_order: shuffled, "
        "cycle_gap_seconds: 2}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("llem.study.plan.turns", lambda *_: pytest.fail("every turn was asked for"))
    out, _, _ = said(["plan", "s.yaml"], capsys, monkeypatch)
    assert "shuffled, pauses of 19999998 s in all" in out
