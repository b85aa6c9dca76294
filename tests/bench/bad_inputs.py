"""The slowest bad (and large) inputs of the study room: seconds from bytes to answer.

python tests/bench/bad_inputs.py [--json]
"""

# ruff: noqa: E501 (a table: one case a line)

from __future__ import annotations

import json
import sys
import time

MODEL = "model: x\n"
LIMIT = 10_000_000
RANGE = "{min: 1, max: 250000, num: 250000}"

INPUTS = {
    "10 MB of comment": MODEL + "#" * (LIMIT - len(MODEL)),
    "10 MB of one text": MODEL + "name: " + "k" * (LIMIT - 20),
    "10 MB of a flow list": MODEL + "sweep: {n: [" + "1," * 4_900_000 + "]}\n",
    "10 MB of unknown keys": MODEL + "".join(f"k{i}: 1\n" for i in range(900_000)),
    "10 MB of duplicate keys": MODEL + "n: 1\n" * 1_900_000,
    "150,000 identical entries": MODEL + "experiments:\n" + "- {n: 1}\n" * 150_000,
    "100,000 groups of one path": MODEL + "sweep:\n" + "".join(f"  g{i}: [{{n: 1}}]\n" for i in range(100_000)),
    "20,000 paths in one entry": MODEL + f"sweep: {{g: [{{{', '.join(f'passthrough_kwargs.k{i}: 1' for i in range(20_000))}}}]}}\n",
    "a range of 250,000": MODEL + f"sweep: {{n: {RANGE}}}\n",
    "ten ranges of 250,000": MODEL + f"sweep: {{{', '.join(f'passthrough_kwargs.k{i}: {RANGE}' for i in range(10))}}}\n",
    "a billion laughs": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)),
    "a million brackets": "[" * 1_000_000,
}  # fmt: skip


def answer_s(text: str) -> tuple[float, str]:
    """Seconds until a study's bytes are answered, and the answer."""
    from llem.study import StudyFileError, make_plan, parse_study

    started_s = time.perf_counter()
    try:
        answer = f"{make_plan(parse_study(text.encode(), source='bad.yaml')).declared} experiments"
    except StudyFileError as error:
        answer = str(error.problems[0])
    return time.perf_counter() - started_s, answer


def main() -> None:
    """Print every input with its time, the slowest first."""
    timed = sorted(((*answer_s(text), name) for name, text in INPUTS.items()), reverse=True)
    if "--json" in sys.argv:
        print(json.dumps({name: round(seconds, 2) for seconds, _, name in timed}))
        return
    for seconds, answer, name in timed:
        print(f"{seconds:7.2f} s  {name:28} {answer[:90]}")


if __name__ == "__main__":
    main()
