"""One container from its start to its removal, also when the engine goes away and comes back in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llem.ended import Ended
from llem.launch.docker.engine import ENDED_STATES, Engine, Json
from llem.launch.docker.faults import ContainerGone
from llem.launch.docker.patience import Patience, waiting_for_engine
from llem.launch.log_file import LOG_FILE, write_log
from llem.launch.protocol import LaunchFailed
from llem.untrusted import is_there
from llem_runner.contract.exchange import ERROR_FILE, OUT, RESULT_FILE

_LOOK_EVERY_S = 1.0
"""The engine is asked rarely while a run is measured; at once when the file is there that a runner writes last."""
_END_PATIENCE_S = 30.0
_GOING_S = 2.0
_ENDED_BY_SIGNAL = (8, 137, 143)


class Container:
    """A container of ours, by its name. `folder` is the run's, where the log goes; `notice` is for people."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        folder: Path,
        patience: Patience,
        notice: Callable[[str], None],
        gpu_uuids: Sequence[str] = (),
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._engine = engine
        self._folder = folder
        self._patience = patience
        self._notice = notice
        self._gpu_uuids = gpu_uuids
        self._now = now
        self._sleep = sleep
        self._seen: Json = {}
        self._looked_s: float | None = None
        self._outage_s: float | None = None
        self._outage = False
        self._ended: Ended | None = None

    def look(self) -> Ended | None:
        """How it ended; None while it runs, and while an engine that went away may yet come back."""
        if self._ended is None and self._due():
            self._looked_s = self._now()
            self._ended = self._look()
        return self._ended

    def stop(self, grace_s: float) -> Ended:
        """End it: SIGTERM, SIGKILL after `grace_s` (0: at once), wait. Whatever the engine answers, this returns."""
        paused = self._paused()
        with suppress(ContainerGone, LaunchFailed):
            if paused:
                self._engine.unpause(self.name)
            if grace_s > 0:
                self._engine.stop(self.name, grace_s)
        if self._may_run():
            with suppress(ContainerGone, LaunchFailed):
                self._engine.kill(self.name)
                self._engine.wait(self.name, _END_PATIENCE_S)
        self._ended = self._stopped(paused)
        return self._ended

    def keep_log(self) -> None:
        """Write `container.log`, or why there is none. Raises OSError."""
        try:
            said = self._engine.logs(self.name)
        except ContainerGone:
            said = b"llem: the container was removed before its log could be read.\n"
        except LaunchFailed as failure:
            said = f"llem: {failure.message}\n".encode()
        write_log(self._folder / LOG_FILE, [said])

    def remove(self) -> bool:
        """Remove it; False where the engine does not do it now."""
        try:
            self._engine.remove(self.name)
        except LaunchFailed:
            return False
        return True

    def tell_that_it_is_there(self) -> None:
        """Tell people of a container that nobody could remove, and what that may mean."""
        gpus = f" and hold GPU {', '.join(self._gpu_uuids)}" if self._gpu_uuids else ""
        self._notice(
            f"Container {self.name} could not be removed: the engine did not do it. It may still run{gpus}. When the "
            f"engine is there again: docker rm -f {self.name}"
        )

    def record(self) -> dict[str, Any]:
        """What the engine said of it last."""
        state = self._seen.get("State") or {}
        return {
            "id": self._seen.get("Id"),
            "name": self.name,
            "image_id": self._seen.get("Image"),
            "user": (self._seen.get("Config") or {}).get("User"),
            "exit_code": state.get("ExitCode") if state.get("Status") in ENDED_STATES else None,
            "oom_killed": state.get("OOMKilled"),
            "started": state.get("StartedAt"),
            "finished": state.get("FinishedAt") if state.get("Status") in ENDED_STATES else None,
        }

    def _due(self) -> bool:
        if self._looked_s is None or self._now() - self._looked_s >= _LOOK_EVERY_S:
            return True
        return any(is_there(self._folder, f"{OUT}/{name}") for name in (RESULT_FILE, ERROR_FILE))

    def _look(self) -> Ended | None:
        paused = bool((self._seen.get("State") or {}).get("Paused"))
        try:
            state = self._inspect()["State"]
        except ContainerGone:
            return Ended(None, removed=True, paused=paused, engine_gone=self._outage)
        except LaunchFailed:
            return self._outage_goes_on()
        self._outage_s = None
        if state["Status"] not in ENDED_STATES:
            # Whatever the engine was doing, the run has outlived it.
            self._outage = False
            return None
        code = int(state["ExitCode"])
        gone = self._outage or (code in _ENDED_BY_SIGNAL and self._engine_is_going())
        return Ended(code, oom_killed=bool(state["OOMKilled"]), paused=paused, engine_gone=gone)

    def _stopped(self, paused: bool) -> Ended:
        try:
            state = self._inspect()["State"]
        except ContainerGone:
            return Ended(None, removed=True, paused=paused)
        except LaunchFailed:
            return Ended(None, engine_gone=True, paused=paused)
        # An engine that did not end it in all that time does not do its work; the exit code of what runs is 0 for it.
        if state["Status"] not in ENDED_STATES:
            return Ended(None, engine_gone=True, paused=paused)
        return Ended(int(state["ExitCode"]), oom_killed=bool(state["OOMKilled"]), paused=paused)

    def _outage_goes_on(self) -> Ended | None:
        self._outage = True
        if self._outage_s is None:
            self._outage_s = self._now()
            self._notice(waiting_for_engine(self._patience.run_s))
        return Ended(None, engine_gone=True) if self._now() - self._outage_s > self._patience.run_s else None

    def _engine_is_going(self) -> bool:
        """An engine that shuts down ends its containers first, and answers until it is done."""
        end_s = self._now() + _GOING_S
        while self._now() < end_s:
            if not self._engine.answers():
                return True
            self._sleep(0.1)
        return False

    def _inspect(self) -> Json:
        self._seen = self._engine.inspect(self.name)
        return self._seen

    def _paused(self) -> bool:
        with suppress(ContainerGone, LaunchFailed):
            return bool(self._inspect()["State"]["Paused"])
        return False

    def _may_run(self) -> bool:
        """Also where the engine does not tell: better one kill too many than a run beside the next one."""
        with suppress(LaunchFailed):
            try:
                return bool(self._inspect()["State"]["Running"])
            except ContainerGone:
                return False
        return True
