"""`up | down | host | around COMMAND…`, as the Makefile calls them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from .commands import tell
from .engine import Engine
from .errors import EngineError, EngineImpossible
from .packages import assert_possible

_USAGE = "usage: python tests/engine/docker up | down | host | around COMMAND…"
_LINE = "!" * 100


def main(arguments: list[str]) -> int:
    """Dispatch, and return the exit code."""
    engine = Engine.of_this_checkout()
    match arguments:
        case ["up"]:
            return _up(engine)
        case ["down"]:
            return _down(engine)
        case ["host"]:
            print(engine.host)
            return 0
        case ["around", _, *_]:
            return _around(engine, arguments[1:])
    print(_USAGE, file=sys.stderr)
    return 2


def _up(engine: Engine) -> int:
    try:
        engine.up(os.environ)
    except EngineError as error:
        tell(f"No test engine: {error}")
        return 1
    return 0


def _down(engine: Engine) -> int:
    if engine.down():
        return 0
    tell("The test engine stays up: somebody's tests are using it.")
    return 1


def _around(engine: Engine, command: list[str]) -> int:
    """Run the tests with the engine up, and take it down after them.

    Where there can be none they run without it, and say so; that the tests which need it then fail with CI=true, and
    are skipped elsewhere, is the work of their fixture.
    """
    try:
        assert_possible()
    except EngineImpossible as error:
        tell(f"{_LINE}\nNo container is tested here: {error}.\n{_LINE}")
        code = _run(command)
        tell(f"{_LINE}\nNo container was tested here: {error}.\n{_LINE}")
        return code
    try:
        with engine.used():
            code = _up(engine) or _run(command)
    finally:
        if not engine.down():
            tell("The test engine stays up: somebody else's tests are using it.")
    return code


def _run(command: list[str]) -> int:
    """The command's exit code. Ctrl-C reaches it from the terminal, SIGTERM from us; we stay to clear up after it."""
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _: object) -> None:
        if child is not None and number == signal.SIGTERM:
            child.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    child = subprocess.Popen(command)
    code = child.wait()
    return code if code >= 0 else 128 - code
