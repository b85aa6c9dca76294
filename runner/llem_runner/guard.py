"""What stands around the engine's work, so that the first thing that went wrong is the one that is told."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llem_runner.backends.protocol import Backend
from llem_runner.contract import FailureKind, RunFailed
from llem_runner.lifeline import StopRequest
from llem_runner.meter import Meter

_LOST_WITHIN_S = 1.0
# These come of files and words, never of a GPU that went away.
_NOT_THE_GPUS = frozenset({FailureKind.CONTRACT_MISMATCH, FailureKind.DISK, FailureKind.GPU_LOST})


@contextmanager
def blaming_a_lost_gpu(meter: Meter) -> Iterator[None]:
    """An engine on a GPU that fell off the bus fails in words of its own, and before the recorder has noticed.

    So an error waits a moment for the recorder's word: raises GpuLost in its place where that comes.
    """
    try:
        yield
    except Exception as error:
        if not (isinstance(error, RunFailed) and error.kind in _NOT_THE_GPUS):
            lost = meter.lost_within(_LOST_WITHIN_S)
            if lost is not None:
                raise lost from error
        raise


@contextmanager
def unloading(backend: Backend) -> Iterator[Backend]:
    """Free the backend at the end. That this fails is told in the log and changes no outcome: there is one already."""
    try:
        yield backend
    finally:
        try:
            backend.unload()
        except Exception:  # noqa: BLE001 - a broken engine may raise anything here
            print("freeing the engine failed:", file=sys.stderr)
            traceback.print_exc()


def while_alive(meter: Meter, stop: StopRequest, also: Callable[[int], None]) -> Callable[[int], None]:
    """What every new token does besides being counted: a stop or a lost GPU ends the run now, not after the pass."""

    def on_tokens(count: int) -> None:
        stop.check()
        meter.check()
        also(count)

    return on_tokens
