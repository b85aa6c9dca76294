"""Running other programs: silent while they succeed, quoted when they do not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import EngineError

_SHOWN_CHARACTERS = 4000


def output_of(command: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """What a command printed. Raises EngineError with the end of what it said when it fails or is not there."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise EngineError(f"{words[0]} could not be started: {error}") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-_SHOWN_CHARACTERS:]
        raise EngineError(f"{' '.join(words)}\nended with {done.returncode}:\n{said}")
    return done.stdout


def tell(text: str) -> None:
    """A line of progress; standard output is left to answers such as the engine's address."""
    print(text, file=sys.stderr, flush=True)
