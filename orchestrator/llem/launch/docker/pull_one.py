"""One image being pulled in a thread of its own: tried again where that may help, ended whenever somebody says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llem.launch.docker.pull_faults import is_final, pull_failed
from llem.launch.docker.pull_layers import PullState
from llem.launch.docker.pull_stream import PullRefused, PullStream
from llem.launch.protocol import LaunchFailed

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying


@dataclass(frozen=True)
class Retries:
    """How often a pull is tried, and the pause before the second try; each further pause is twice as long."""

    attempts: int = 5
    first_wait_s: float = 2.0
    longest_wait_s: float = 30.0
    silence_s: float = 300.0
    """After which a pull that the engine says nothing of any more counts as broken off."""


class Pull:
    """A pull of `reference`. `state` and `failure` may be read from any thread; complete once `state.ended`."""

    def __init__(self, reference: str, api_version: str, download_bytes: int | None, retries: Retries) -> None:
        self.state = PullState(reference, download_bytes=download_bytes)
        self.failure: LaunchFailed | None = None
        self._retries = retries
        self._api_version = api_version
        self._ended = threading.Event()
        self._stream = PullStream(reference, api_version)
        self._heard_s = time.monotonic()
        # A credential helper that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name=f"pull {reference}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Give it up; the engine does, too."""
        self._ended.set()
        self._stream.end("it was stopped")

    def break_off_if_silent(self, now: Callable[[], float] = time.monotonic) -> None:
        """Count it as broken off where the engine has said nothing of it for too long."""
        if now() - self._heard_s > self._retries.silence_s:
            self._heard_s = now()
            self._stream.end(f"the engine said nothing of it for {self._retries.silence_s:g} s")

    def _run(self) -> None:
        try:
            self._retrying()(self._once)
        except PullRefused as refused:
            self.failure = pull_failed(self.state.image, str(refused))
        except Exception as error:
            # Nobody else would ever hear of it, and whoever waits for us would wait for good.
            self.failure = pull_failed(self.state.image, f"{type(error).__name__}: {error}")
            raise
        finally:
            self.state = replace(self.state, trouble="", ended=True, succeeded=self.failure is None)

    def _retrying(self) -> Retrying:
        import tenacity

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_succeed),
            wait=tenacity.wait_exponential(multiplier=self._retries.first_wait_s, max=self._retries.longest_wait_s),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(self._retries.attempts), tenacity.stop_when_event_set(self._ended)
            ),
            sleep=tenacity.sleep_using_event(self._ended),
            before_sleep=self._tell,
            reraise=True,
        )

    def _once(self) -> None:
        image, size, trouble = self.state.image, self.state.download_bytes, self.state.trouble
        self._stream = PullStream(image, self._api_version)
        if self._ended.is_set():
            raise PullRefused("it was stopped")
        self._heard_s = time.monotonic()
        self.state = PullState(image, download_bytes=size, trouble=trouble)
        for line in self._stream.lines():
            self._heard_s = time.monotonic()
            self.state = self.state.after(line)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        wait_s = state.next_action.sleep if state.next_action else 0
        words = f"{error}; trying again in {wait_s:g} s ({state.attempt_number} of {self._retries.attempts} tries)"
        self.state = replace(self.state, trouble=words)


def _may_succeed(error: BaseException) -> bool:
    return isinstance(error, PullRefused) and not is_final(str(error))
