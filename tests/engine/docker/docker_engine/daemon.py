"""A Docker daemon of our own, in namespaces of its own.

It is the second process of a process namespace, so that the kernel ends all of it, containers included, with the
first. `/run` is a private tmpfs: what daemons leave there, and the paths that every containerd shares, are out of reach
of any other engine, and gone with the namespace. There is no bridge and no firewall rule: containers have no network,
or the host's.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from .errors import EngineError
from .packages import Programs

_START_PATIENCE_S = 60.0
_STOP_PATIENCE_S = 60.0
_LONGEST_SOCKET_PATH = 107  # what a sockaddr_un holds
_IN_PRIVATE_RUN = 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/lock && exec "$@"'


@dataclass(frozen=True)
class Daemon:
    """A daemon with its data in `folder`. `hook` is a folder for its PATH, `runtime` the OCI runtime it shall use."""

    folder: Path
    programs: Programs
    hook: Path | None = None
    runtime: Path | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "docker.sock"

    @property
    def host(self) -> str:
        """Its address, as DOCKER_HOST wants it."""
        return f"unix://{self.socket}"

    @property
    def cgroup(self) -> str:
        """The name of the control group of its containers; no other engine's."""
        return f"llem-test-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    def process(self) -> psutil.Process | None:
        """The process whose end is the end of everything here; None where it is not running."""
        return next(iter(self._alive()), None)

    def answers(self) -> bool:
        """Whether an engine answers at the socket."""
        import docker

        if not self.socket.exists():
            return False
        try:
            client = docker.DockerClient(base_url=self.host, timeout=10)
            try:
                return bool(client.ping())
            finally:
                client.close()
        except (docker.errors.DockerException, OSError):
            return False

    def start(self) -> None:
        """Start it where it is not running, and return when it answers. Raises EngineError."""
        if self.process() is not None and self.answers():
            return
        self.stop()
        if len(str(self.socket)) > _LONGEST_SOCKET_PATH:
            raise EngineError(f"{self.socket} is too long for a socket's path: set XDG_CACHE_HOME to a shorter folder")
        if self.folder.resolve().is_relative_to("/run"):
            raise EngineError(
                f"the daemon has a /run of its own, and cannot see {self.folder}: set XDG_CACHE_HOME elsewhere"
            )
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        (self.folder / "home" / "daemon.json").write_text("{}\n")
        process = self._spawn()
        self._write_note([process])
        self._await_answer()
        self._write_note([process, *process.children()])

    def stop(self) -> None:
        """Stop it and its containers, and remove what it left outside its namespaces. Nothing happens where it is not
        running, but for the remains of one that was killed."""
        process = self.process()
        with suppress(psutil.NoSuchProcess):
            for child in process.children() if process is not None else []:
                child.send_signal(signal.SIGTERM)
        _within(_STOP_PATIENCE_S, lambda: not self._alive())
        with suppress(psutil.NoSuchProcess):
            for each in self._alive():
                each.kill()
        if not _within(_STOP_PATIENCE_S, lambda: not self._alive()):
            raise EngineError(f"processes of the Docker daemon in {self.folder} do not end: {self._alive()}")
        self.socket.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self._remove_cgroups()

    @property
    def _note(self) -> Path:
        return self.folder / "processes.json"

    def _write_note(self, processes: list[psutil.Process]) -> None:
        noted = [{"pid": process.pid, "started": _started(process.pid)} for process in processes]
        self._note.write_text(json.dumps(noted))

    def _alive(self) -> list[psutil.Process]:
        """Our first process, and its child, the first one of the namespace: the last of all in there to end."""
        try:
            noted = json.loads(self._note.read_text())
            return [psutil.Process(each["pid"]) for each in noted if _started(each["pid"]) == each["started"]]
        except (OSError, ValueError, psutil.NoSuchProcess):
            # The last: it ended while we were looking, and what it carried with it ends with it.
            return []

    def _command(self) -> list[str]:
        home = self.folder / "home"
        command = ["unshare", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["sh", "-c", _IN_PRIVATE_RUN, "sh", "docker-init", "--", "dockerd"]
        command += ["--config-file", f"{home}/daemon.json", "--host", self.host, "--group", "root"]
        command += ["--data-root", f"{self.folder}/data", "--exec-root", "/run/llem", "--pidfile", "/run/llem.pid"]
        command += ["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self.cgroup}"]
        command += ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
        if self.runtime is not None:
            command += ["--add-runtime", f"simulated-gpus={self.runtime}", "--default-runtime", "simulated-gpus"]
        return command

    def _environment(self) -> dict[str, str]:
        """Nothing of the caller's: the daemon hands its environment to every hook that it starts."""
        path = f"{self.hook}:{self.programs.path()}" if self.hook else self.programs.path()
        return {"PATH": path, "LD_LIBRARY_PATH": self.programs.libraries(), "HOME": f"{self.folder}/home"}

    def _spawn(self) -> psutil.Process:
        """The daemon, as nobody's child: it outlives whoever started it."""
        log = self.folder / "dockerd.log"
        command = ["sh", "-c", '"$@" </dev/null >"$0" 2>&1 & echo $!', str(log), *self._command()]
        done = subprocess.run(
            command, env=self._environment(), cwd="/", start_new_session=True, check=True, stdout=subprocess.PIPE
        )
        return psutil.Process(int(done.stdout))

    def _await_answer(self) -> None:
        end = time.monotonic() + _START_PATIENCE_S
        while not self.answers():
            if self.process() is None or time.monotonic() > end:
                said = (self.folder / "dockerd.log").read_text(errors="replace")[-2000:]
                self.stop()
                raise EngineError(f"the Docker daemon did not start:\n{said}")
            time.sleep(0.1)

    def _remove_cgroups(self) -> None:
        for group in [*Path("/sys/fs/cgroup").glob(self.cgroup), *Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}")]:
            for folder, _, _ in os.walk(group, topdown=False):
                _remove_cgroup(Path(folder))


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine did; None where it has ended.

    With its number this identifies it, also after somebody has set the clock.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else int(fields[18])


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _remove_cgroup(group: Path) -> None:
    """A group is busy for a moment after the last process in it was killed."""
    for _ in range(50):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.1)
    if group.exists():
        raise EngineError(f"the control group {group} is still in use")
