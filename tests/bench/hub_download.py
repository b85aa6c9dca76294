"""What fetching a model through llem costs, against the Hub's bare client, in interleaved pairs.

python tests/bench/hub_download.py [--megabytes N] [--pairs N] [--json]

A Hub on loopback (tests/support/hub_server.py) has a model of four files of weights. Ours is `fetch`, as a study calls
it before its first run: every model looked up, the disk's room checked, then the download. Bare is a Python that calls
`snapshot_download` and ends. Each begins with an empty cache.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from interleaved import interval, timed

sys.path.append(str(Path(__file__).resolve().parent.parent / "support"))

from hub_server import HubRepo, HubServer

from llem.launch.hub.fetch import fetch
from llem.launch.hub.order import HubModel

TARGET = 1.1
_FILES = 4
_BARE = "import sys; from huggingface_hub import snapshot_download; snapshot_download(sys.argv[1])"
_REPO = "org/model"


def main() -> None:
    """Measure and report; the goal is at most 1.1 × the bare client's time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    report = measured(arguments.megabytes * 10**6, arguments.pairs)
    print(json.dumps(report) if arguments.json else in_words(report))


def measured(model_bytes: int, pairs: int) -> dict[str, Any]:
    """Median seconds of both, and the ratio of their times, ours over the bare client's, with its 95 % interval."""
    with HubServer() as hub:
        hub.models[_REPO] = _model(model_bytes)

        def fetched(fetch_it: Any) -> None:
            with TemporaryDirectory(prefix="llem-bench-hub-") as home:
                os.environ.update(hub.environment(Path(home)))
                fetch_it()

        ours_s, bare_s = timed(lambda: fetched(_ours), lambda: fetched(_bare), pairs)
    ratios = interval([ours / bare for ours, bare in zip(ours_s, bare_s, strict=True)])
    medians = {"ours_s": statistics.median(ours_s), "bare_s": statistics.median(bare_s)}
    return {"megabytes": model_bytes / 1e6, "pairs": pairs, **medians, **ratios, "met": ratios["ratio"] <= TARGET}


def _model(model_bytes: int) -> HubRepo:
    weights = {f"model-{number}.safetensors": os.urandom(model_bytes // _FILES) for number in range(_FILES)}
    return HubRepo({"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", **weights})


def _ours() -> None:
    fetch([HubModel(_REPO)], lambda line: None, lambda seconds: bool(time.sleep(seconds)))


def _bare() -> None:
    subprocess.run([sys.executable, "-c", _BARE, _REPO], check=True, stderr=subprocess.DEVNULL)


def in_words(report: dict[str, Any]) -> str:
    """The report for people."""
    verdict = "met" if report["met"] else "missed"
    return (
        f"a model of {report['megabytes']:.0f} MB, {report['pairs']} pairs: llem {report['ours_s']:.2f} s, "
        f"the bare client {report['bare_s']:.2f} s (medians)\n"
        f"ratio of the times {report['ratio']:.3f} (95 %: {report['lower']:.3f} to {report['upper']:.3f}), "
        f"goal at most {TARGET}: {verdict}"
    )


if __name__ == "__main__":
    main()
