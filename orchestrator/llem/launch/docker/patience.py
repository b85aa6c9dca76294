"""An engine that went away may come back: it may be being restarted or updated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from llem.launch.docker.engine import CALL_S
from llem.launch.protocol import LaunchFailed
from llem_runner.contract import FailureKind

if TYPE_CHECKING:
    from tenacity import RetryCallState

Done = TypeVar("Done")


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for an engine that went away."""

    run_s: float = 90.0
    """While a run is in hand."""
    start_s: float = 2.5 * CALL_S
    """Where one is to begin, or is looked for. Longer than a call that gets no answer: what it did is looked for."""


def waiting_for_engine(seconds: float) -> str:
    """What people are told while the patience lasts."""
    return f"The container engine does not answer: waiting for it, {seconds:g} s at most."


class Patiently:
    """Calls that are made again and again while the engine is unreachable, for `within_s`; less where we are to end.

    `stop(seconds)` waits and says whether we were asked to end.
    """

    def __init__(self, within_s: float, stop: Callable[[float], bool], notice: Callable[[str], None]) -> None:
        self._within_s = within_s
        self._stop = stop
        self._notice = notice

    def __call__(self, call: Callable[[], Done]) -> Done:
        """What `call` returns. Raises what it raises at last."""
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

        retrying = Retrying(
            retry=retry_if_exception(_is_unreachable),
            wait=wait_exponential(multiplier=0.5, max=8),
            stop=lambda state: stop_after_delay(self._within_s)(state) or self._stop(0),
            before_sleep=self._tell_that_we_wait,
            sleep=self._pause,
            reraise=True,
        )
        return retrying(call)

    def _tell_that_we_wait(self, state: RetryCallState) -> None:
        if state.attempt_number == 1:
            self._notice(waiting_for_engine(self._within_s))

    def _pause(self, seconds: float) -> None:
        self._stop(seconds)


def _is_unreachable(error: BaseException) -> bool:
    return isinstance(error, LaunchFailed) and error.kind is FailureKind.ENGINE_UNREACHABLE
