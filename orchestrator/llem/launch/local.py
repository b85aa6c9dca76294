"""The local launcher: a run is a subprocess of its own session, on this machine, with the same exchange folder.

Its standard input is a pipe that we hold: when the host dies, however it dies, the runner reads the end of the file
and ends itself. Nothing is left holding a GPU.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

import llem_runner
from llem.checklist import Checklist
from llem.ended import Ended
from llem.errors import NotReadyError
from llem.launch.docker.leftovers import user_by_engine
from llem.launch.engine import engine_answers
from llem.launch.gpu_choice import choose_gpus, places_of, usable_gpus
from llem.launch.gpu_facts import GpuFacts, local_cuda
from llem.launch.gpus import Gpu, driver, installed_gpus, memory_of, memory_used
from llem.launch.log_file import LOG_FILE, clean_log
from llem.launch.protocol import Attempt, Place, Poll
from llem.launch.shared_folder import polled
from llem_runner.contract import Allocation, ExchangeFolder
from llem_runner.contract.exchange import LIFELINE_VARIABLE
from llem_runner.contract.result import Image

_KILL_WAIT_S = 10.0

# What each backend cannot do without, and how to get it.
_PACKAGES: dict[str, tuple[str, ...]] = {"pytorch": ("torch", "transformers"), "vllm": ("vllm",)}
# Secrets have no place in a process that runs code from models.
_SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN")


def missing_packages(backend: str) -> list[str]:
    """What a backend needs that is not installed in this Python; nothing is imported."""
    return [name for name in _PACKAGES[backend] if importlib.util.find_spec(name) is None]


class LocalLauncher:
    """Runs happen in subprocesses of this Python."""

    name = "local"
    survives_host = False
    described = "local (subprocesses of this Python)"
    engine_id = None

    def __init__(self, gpus: Sequence[Gpu] | None = None, wanted: Sequence[int | str] | None = None) -> None:
        """`gpus` are those of this machine (None: look), `wanted` names those that may be used (None: all).

        Raises NotReadyError where one of them is not there.
        """
        self._gpus = usable_gpus(installed_gpus(), wanted, os.environ) if gpus is None else choose_gpus(gpus, wanted)
        self._backends: tuple[str, ...] = ()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folders: dict[str, Path] = {}
        self._orphans: dict[str, psutil.Process] = {}
        self._ends: dict[str, Ended] = {}

    def capacity(self) -> list[Place]:
        """One place for each GPU model of this machine, or its CPU."""
        return places_of(self._gpus)

    def prepare(
        self,
        backends: Sequence[str],
        images: Mapping[str, str],  # noqa: ARG002
        parent: Path,  # noqa: ARG002
        checklist: Checklist,
        resumed: str | None = None,  # noqa: ARG002
    ) -> dict[str, Image]:
        """Check that each backend's packages are installed in this Python (without importing them)."""
        self._backends = tuple(backends)
        for backend in backends:
            with checklist.checking(f"packages of {backend}") as found:
                _check_packages(backend)
                found(f"in {sys.prefix}")
        return {}

    def gpu_facts(self) -> GpuFacts:
        """By NVML; what torch was built for is in its own files."""
        cuda = local_cuda()
        return GpuFacts(
            memory=memory_of([gpu.uuid for gpu in self._gpus]),
            driver=driver(),
            cuda_needed=dict.fromkeys(self._backends, cuda) if cuda else {},
        )

    def keep_runner(self, study_folder: Path, name: str | None) -> None:
        """A subprocess runs ours."""
        del study_folder, name

    def check_readable(self, folders: Sequence[str]) -> None:
        """A subprocess reads what we read."""
        del folders

    def start(self, attempt: Attempt, place: Place) -> str:
        """Write the allocation and start the runner in a session (and so a process group) of its own."""
        exchange = ExchangeFolder(attempt.folder)
        allocation = Allocation(
            host=place.host,
            gpu_uuids=place.gpu_uuids,
            model_path=attempt.model_path,
            adapter_path=attempt.adapter_path,
        )
        exchange.allocation.write_text(allocation.model_dump_json(indent=2) + "\n")
        with (attempt.folder / LOG_FILE).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "llem_runner", str(attempt.folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=attempt.folder,
                env=_environment(place),
                start_new_session=True,
            )
        self._processes[attempt.handle] = process
        self._folders[attempt.handle] = attempt.folder
        return attempt.handle

    def find(self, attempt: Attempt) -> str | None:
        """A runner of this attempt that a dead host has left: it is ending, or hangs."""
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if command[-3:] == ["-m", "llem_runner", str(attempt.folder)] and process.pid not in self._own_pids():
                self._orphans[attempt.handle] = process
                self._folders[attempt.handle] = attempt.folder
                return attempt.handle
        return None

    def poll(self, handle: str, offset: int) -> Poll:
        """New events, and the exit code once the runner has ended."""
        return polled(self._folders[handle], offset, self._ended(handle))

    def collect(self, handle: str) -> None:
        """The folder is shared: it is complete once the runner has ended. Its log is made harmless."""
        with suppress(FileNotFoundError):
            clean_log(self._folders[handle] / LOG_FILE)

    def record(self, handle: str) -> dict[str, Any]:
        """Nothing that is not known without us."""
        del handle
        return {}

    def memory_used(self, gpu_uuids: Sequence[str]) -> Mapping[str, int | None]:
        """By NVML."""
        return memory_used(gpu_uuids)

    def pids(self, handle: str) -> frozenset[int]:
        """The runner, whatever it started, and what else is of its session."""
        leader = self._leader_pid(handle)
        return frozenset({leader, *_children(leader), *(pid for pid in psutil.pids() if _session(pid) == leader)})

    def other_user(self, gpu_uuid: str, study_uid: str) -> str | None:
        """A container of a study that was not local, where an engine answers that knows."""
        return user_by_engine(gpu_uuid, study_uid) if engine_answers() else None

    def clear(self, study_uid: str) -> None:
        """A runner ends with its host: there is nothing that it could leave."""
        del study_uid

    def stop(self, handle: str, grace_s: float) -> Ended:
        """SIGTERM to the runner, then, after `grace_s`, SIGKILL to its whole group."""
        leader = self._leader_pid(handle)
        if grace_s > 0:
            _signal(leader, signal.SIGTERM)
            _wait_for(lambda: self._ended(handle) is not None, grace_s)
        if self._ended(handle) is None:
            _signal_group(leader, signal.SIGKILL)
            _wait_for(lambda: self._ended(handle) is not None, _KILL_WAIT_S)
        return self._ended(handle) or Ended(None)

    def kill(self) -> None:
        """Kill what runs."""
        self.close()

    def close(self) -> None:
        """Kill what still runs."""
        for handle in [*self._processes, *self._orphans]:
            if self._ended(handle) is None:
                self.stop(handle, 0)

    def _ended(self, handle: str) -> Ended | None:
        if handle not in self._ends and (ended := self._look(handle)):
            self._ends[handle] = ended
            # A worker that outlived the runner would hold its GPU memory against the next run.
            _signal_group(self._leader_pid(handle), signal.SIGKILL)
        return self._ends.get(handle)

    def _look(self, handle: str) -> Ended | None:
        process = self._processes.get(handle)
        if process is None:
            return None if _lives(self._orphans[handle]) else Ended(None)
        code = process.poll()
        if code is None:
            return None
        if process.stdin:
            process.stdin.close()
        return Ended(code)

    def _leader_pid(self, handle: str) -> int:
        process = self._processes.get(handle)
        return process.pid if process else self._orphans[handle].pid

    def _own_pids(self) -> set[int]:
        return {process.pid for process in self._processes.values()}


def _check_packages(backend: str) -> None:
    if missing := missing_packages(backend):
        raise NotReadyError(
            f"Backend {backend} cannot run here: {' and '.join(missing)} not installed in {sys.prefix}.",
            f"Install it with: pip install 'llem[{backend}]'",
        )


def _environment(place: Place) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _SECRET_VARIABLES}
    packages = str(Path(llem_runner.__file__).parent.parent)
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(filter(None, [packages, os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        # CUDA's own default order is by speed; NVML's is by PCI. One order, so that both mean the same board.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": ",".join(place.gpu_uuids),
        LIFELINE_VARIABLE: "stdin",
    }


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def _wait_for(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
