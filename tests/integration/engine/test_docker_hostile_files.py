"""Code that means harm leaves files for the host: none is followed, none is read without end, none counts falsely."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acted import GOOD, acts, endings, left_of
from acted_runs import printed, run_folder

Llem = Callable[..., subprocess.CompletedProcess[str]]

# What lies where a result is expected: the act, and why the host does not take it.
LEFT_AS_RESULT = {
    "a link to a file of the host": ("os.symlink('/etc/passwd', OUT / 'result.json')", "is a link"),
    "a link to another run's result": (
        "theirs = json.loads(Path('/cache/order').read_text())['run_id']\n"
        "os.symlink(f'../../0001-{theirs}/out/result.json', OUT / 'result.json')",
        "is a link",
    ),
    "a link to itself": ("os.symlink('result.json', OUT / 'result.json')", "is a link"),
    "a pipe": ("os.mkfifo(OUT / 'result.json')", "is not a regular file"),
    "a folder": ("os.mkdir(OUT / 'result.json')", "is not a regular file"),
    "a socket": (
        "import socket\nsocket.socket(socket.AF_UNIX).bind(str(OUT / 'result.json'))",
        "is not a regular file",
    ),
    "10 GB": ("os.truncate(os.open(OUT / 'result.json', os.O_CREAT | os.O_RDWR), 10 ** 10)", "is larger than"),
    "no end of brackets": ("(OUT / 'result.json').write_text('[' * 10 ** 6)", "result.json"),
    "another run's nonce": (
        "theirs = json.loads(Path('/cache/order').read_text())\n"
        "complete(**{name: theirs[name] for name in ('run_id', 'nonce', 'attempt', 'experiment')})",
        "does not echo this attempt's nonce",
    ),
    "another run's name": (
        "complete(run_id=json.loads(Path('/cache/order').read_text())['run_id'])",
        "is of another run: run_id",
    ),
    "another attempt": ("complete(attempt=7)", "is of another run: attempt"),
    "another experiment": (
        "complete(experiment=json.loads(Path('/cache/order').read_text())['experiment'])",
        "is of another experiment",
    ),
}
FORGET_NOTHING = f"Path('/cache/order').write_text(json.dumps(ORDER))\n{GOOD}"


def test_claim_6_7_nothing_that_a_run_leaves_as_its_result_is_followed_waited_for_or_believed_falsely(
    docker_llem: Llem, client: Any, actor: str, tmp_path: Path
) -> None:
    played = [act for act, _ in LEFT_AS_RESULT.values()]
    (tmp_path / "study.yaml").write_text(acts(FORGET_NOTHING, *played, execution={"max_consecutive_failures": 99}))
    done = docker_llem("run", "study.yaml")
    [study] = (tmp_path / "results").iterdir()
    assert done.returncode == 1
    first, *others = endings(study)
    assert first == ("completed", "")
    for (name, (_, why)), (kind, message) in zip(LEFT_AS_RESULT.items(), others, strict=True):
        assert (name, kind) == (name, "result_invalid")
        assert why in message, (name, message)
    assert sorted(path.parent.name[:4] for path in study.glob("runs/*/result.json")) == ["0001"]
    assert "root:" not in done.stdout + done.stderr
    assert left_of(client, tmp_path)["containers"] == []


# Each of these runs completes: what it does beside that is of no use to it.
BESIDES = {
    "events that lead elsewhere": "os.symlink('/etc/passwd', OUT / 'events.jsonl')",
    "events through a pipe": "os.mkfifo(OUT / 'events.jsonl')",
    "events without end": "os.truncate(os.open(OUT / 'events.jsonl', os.O_CREAT | os.O_RDWR), 10 ** 13)",
    "events in lines of 1 MB": (
        "with (OUT / 'events.jsonl').open('w') as file:\n"
        "    for letter in 'abcd':\n"
        "        line = {'t': 1.0, 'event': 'log', 'level': 'info', 'message': letter * 10 ** 6}\n"
        "        print(json.dumps(line), file=file)\n"
        "event(event='warning', code='last', message='after the long ones')"
    ),
    "events of no sense": (
        "with (OUT / 'events.jsonl').open('wb') as file:\n"
        "    file.write(b'\\x00\\xff[[[[\\n' * 1000 + b'{\"event\": \"progress\", \"done\": 1e999}\\n' + b'[' * 60000)"
    ),
    "a timeline that leads elsewhere": "os.symlink('/etc/passwd', OUT / 'power.csv')",
    "a timeline through a pipe": "os.mkfifo(OUT / 'power.csv')",
    "a timeline without end": "os.truncate(os.open(OUT / 'power.csv', os.O_CREAT | os.O_RDWR), 10 ** 12)",
    "a folder that goes down and down": (
        "os.chdir('/cache')\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')"
    ),
    "a cache that nobody may enter": "os.mkdir('/cache/closed')\nos.chmod('/cache/closed', 0)",
    "files that nobody may read": "(OUT / 'mine').touch(0)",
}


def test_claim_6_7_no_event_or_timeline_is_followed_waited_for_or_read_without_end(
    docker_llem: Llem, client: Any, actor: str, tmp_path: Path
) -> None:
    played = [f"{act}\ncomplete()" for act in BESIDES.values()]
    (tmp_path / "study.yaml").write_text(acts(*played, execution={"stall_seconds": 120}))
    try:
        done = docker_llem("run", "-v", "study.yaml")
    finally:
        # Too deep for whoever tidies up after tests.
        subprocess.run(["rm", "-rf", *map(str, tmp_path.glob("results/*/.cache"))], check=True)
    [study] = (tmp_path / "results").iterdir()
    assert dict(zip(BESIDES, endings(study), strict=True)) == dict.fromkeys(BESIDES, ("completed", ""))
    assert (done.returncode, (done.stdout + done.stderr).count("Traceback")) == (0, 0)
    assert "warning last: after the long ones" in done.stderr
    assert done.stderr.count("power.parquet was not made") == len(BESIDES)
    assert not list(study.glob("runs/*/power.parquet"))
    assert "root:" not in done.stdout + done.stderr
    assert left_of(client, tmp_path)["containers"] == []


ESCAPES = "\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202eevil\x00\nnext\n[1/9] completed: all is well"
TALK = f"""
words = {ESCAPES!r}
print(words)
print(words, file=sys.stderr)
event(event="warning", code=words, message=words)
event(event="log", level="info", message=words)
phase("measure")
time.sleep(0.5)
"""
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_claim_6_7_escape_sequences_reach_neither_a_terminal_nor_a_file_of_the_host(
    docker_llem: Llem, actor: str, tmp_path: Path
) -> None:
    result = (
        "complete(warnings=[{'code': words, 'message': words}], environment={'gpu': words, words: 1},"
        " backend_version=words)"
    )
    failing = "report(message=words, traceback=words, details={words: words})\nsys.exit(7)"
    (tmp_path / "study.yaml").write_text(acts(f"{TALK}{result}", f"{TALK}{failing}"))
    done = docker_llem("run", "-v", "study.yaml")
    [study] = (tmp_path / "results").iterdir()
    assert [kind for kind, _ in endings(study)] == ["completed", "inference"]
    shown = done.stderr + done.stdout + docker_llem("results", study).stdout
    assert "evil" in shown
    assert HARMFUL.findall(shown) == []
    # Nothing of theirs begins a line as ours do.
    ours = [line for line in shown.splitlines() if line.startswith(("[1/9]", "next"))]
    assert ours == []
    files = ["journal.jsonl", "study_result.json", "manifest.json", "plan.jsonl"]
    files += [
        f"runs/{run.name}/{name}" for run in (study / "runs").iterdir() for name in ("container.log", "launch.json")
    ]
    files += [str((run_folder(study) / "result.json").relative_to(study))]
    harmful = {name: HARMFUL.findall((study / name).read_text()) for name in files}
    assert {name: found for name, found in harmful.items() if found} == {}
    assert "evil" in printed(study, 1)
    kept = json.loads((run_folder(study) / "result.json").read_text())
    assert kept["warnings"] == [{"code": ESCAPES, "message": ESCAPES}]
