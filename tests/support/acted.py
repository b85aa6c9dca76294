"""Studies whose runs are acts (see actor/play.py), what came of each, and what is left of them on the machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from actor_image import ACTOR_IMAGE
from llem_process import journal

GOOD = "phase('measure'); complete()"
BUSY = """
phase('measure')
for done in range(600):
    event(event='progress', done=done, total=600, unit='tokens')
    time.sleep(0.2)
"""
"""Goes on for two minutes, with a sign of life every now and then."""

NOTHING: dict[str, list[str]] = {"containers": [], "networks": [], "probes": [], "mounts": []}


def acts(*played: str, **keys: Any) -> str:
    """A study file: one experiment for each act, in this order, on the CPU. `keys` are further keys of the study."""
    experiments = [
        {"n": number, "passthrough_kwargs": {"act": act.strip()}} for number, act in enumerate(played, start=1)
    ]
    study = {"model": "builtin:tiny-llama", "device": "cpu", "images": {"pytorch": ACTOR_IMAGE}, **keys}
    return json.dumps({**study, "experiments": experiments}, indent=1)


def endings(study: Path) -> list[tuple[str, str]]:
    """How each run ended, in order: its kind (or `completed`) and the message."""
    return [
        (line.get("kind", "completed"), line.get("message", ""))
        for line in journal(study)
        if line["event"] in ("run_completed", "run_failed", "run_interrupted")
    ]


def kinds(study: Path) -> list[str]:
    """The kinds alone."""
    return [kind for kind, _ in endings(study)]


def state_of(study: Path, sequence: int) -> dict[str, Any]:
    """What `launch.json` of a run says of its end."""
    [launch] = study.glob(f"runs/{sequence:04d}-*/launch.json")
    state: dict[str, Any] = json.loads(launch.read_text())["state"]
    return state


def container_of(client: Any, study: Path, sequence: int) -> Any:
    """The container of a run in hand."""
    [launch] = study.glob(f"runs/{sequence:04d}-*/launch.json")
    return client.containers.get(json.loads(launch.read_text())["handle"])


def left_of(client: Any, parent: Path) -> dict[str, list[str]]:
    """What studies below `parent` left: NOTHING, as it should be."""
    ours = client.containers.list(all=True, filters={"label": "org.llem.uid"}, ignore_removed=True)
    return {
        "containers": [each.name for each in ours if each.labels.get("org.llem.folder", "").startswith(str(parent))],
        "networks": [each.name for each in client.networks.list() if each.name not in ("none", "host")],
        "probes": [str(path) for path in parent.rglob(".llem-probe-*")],
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(parent) in line],
    }
